package demo

import (
	"context"
	"net/http"

	"eventrelay/catalog"
	"eventrelay/relay/payload/receive"
)

// basicUser is the user name of the demo's webhook with Basic authentication.
const basicUser = "demo"

// verifier is what a receiver of the webhook's format does. publicKey gives the tenant's key as PEM; it is asked at the
// first request, because the key is made with the webhook that needs it.
func (w Webhook) verifier(secret string, publicKey func(context.Context) (string, error)) (Verifier, error) {
	o := receive.Options{Format: w.Format, Secret: catalog.NewSecret(secret), User: basicUser, PublicKey: publicKey}
	switch w.Format {
	case catalog.FormatStandard, catalog.FormatCloudEvents, catalog.FormatCloudEventsBinary, catalog.FormatRaw:
		o.Format = "" // signed alike, and a developer may change one into another
	}
	receiver, err := receive.New(o)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, header http.Header, body []byte) error {
		_, err := receiver.Accept(ctx, header, body)
		return err
	}, nil
}

package payload

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/payload/receive"
)

// accept is what a receiver says who has read nothing but the platform's page. Requests are composed at fixedNow.
func accept(format catalog.Format, header http.Header, body []byte, secret string, public *rsa.PublicKey) error {
	receiver, err := receive.New(receive.Options{
		Format: format, Secret: catalog.NewSecret(secret), AnySender: format == catalog.FormatOcelot, // whose credentials are the lane's to add
		Now: func() time.Time { return fixedNow },
		PublicKey: func(context.Context) (string, error) {
			der, err := x509.MarshalPKIXPublicKey(public)
			return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), err
		},
	})
	if err != nil {
		return err
	}
	_, err = receiver.Accept(context.Background(), header, body) // which waits for nothing
	return err
}

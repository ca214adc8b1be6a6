package catalog

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// selfSigned makes a certificate and its key in PEM.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func TestValidateCertificates(t *testing.T) {
	certificate, key := selfSigned(t)
	_, otherKey := selfSigned(t)

	w := testWebhook()
	w.Auth = Auth{Type: AuthMTLS, Certificate: certificate, PrivateKey: NewSecret(key)}
	w.TLS = TLS{CACert: certificate + "\n" + certificate, InsecureSkipVerify: true}
	_, err := w.Validate(Rules{Egress: Egress{AllowInsecureTLS: true}})
	require.NoError(t, err)

	w.Auth.PrivateKey = NewSecret(otherKey)
	w.TLS = TLS{CACert: key}
	_, err = w.Validate(Rules{})
	found := problems(t, err)
	require.Len(t, found, 2)
	require.Contains(t, found, "auth.certificate")
	require.Contains(t, found, "tls.caCert")

	w.TLS = TLS{CACert: certificate + "trailing text"}
	_, err = w.Validate(Rules{})
	require.Contains(t, problems(t, err), "tls.caCert")
}

func TestValidateIntegration(t *testing.T) {
	valid := func() *Integration {
		in := &Integration{Name: "crm", URL: "https://crm.example.com"}
		in.Normalize()
		return in
	}
	_, err := valid().Validate(Rules{})
	require.NoError(t, err)

	for path, change := range map[string]func(in *Integration){
		"name":                   func(in *Integration) { in.Name = "" },
		"url":                    func(in *Integration) { in.URL = "" },
		"type":                   func(in *Integration) { in.Type = "\xff" },
		"headers.Host":           func(in *Integration) { in.Headers = map[string]string{"Host": "x"} },
		"auth.token":             func(in *Integration) { in.Auth = Auth{Type: AuthBearer} },
		"signing.secrets":        func(in *Integration) { in.Signing.Enabled = true },
		"tls.insecureSkipVerify": func(in *Integration) { in.TLS.InsecureSkipVerify = true },
		"concurrency":            func(in *Integration) { in.Concurrency = -1 },
		"rateLimit":              func(in *Integration) { in.RateLimit = math.NaN() },
		"signing.secrets[0].tag": func(in *Integration) {
			in.Signing.Secrets = []SigningSecret{{Value: NewSecret("x"), Encoding: SecretRaw, Tag: "\xff"}}
		},
	} {
		in := valid()
		change(in)
		_, err := in.Validate(Rules{})
		require.Contains(t, problems(t, err), path)
	}
}

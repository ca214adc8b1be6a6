package payload

import (
	"fmt"
	"strings"
	"testing"

	"eventrelay/catalog"
)

// usualData is 600 B of JSON, the size of a usual event.
var usualData = `{"id":"deb_8JX2","amount":12345,"currency":"GBP","customer":{"id":"cus_1","name":"Ann"},"note":"` +
	strings.Repeat("x", 480) + `","items":[1,2]}`

func BenchmarkCompose(b *testing.B) {
	for _, format := range builtin {
		for _, signing := range []struct {
			name string
			catalog.Signing
		}{{"unsigned", catalog.Signing{}}, {"signed", signedWith(vectorSecret)}, {"rotating", signedWith(vectorSecret, vectorSecret)}} {
			b.Run(fmt.Sprintf("%s/%s", format, signing.name), func(b *testing.B) {
				e, d := compile(b, format, signing.Signing), delivery(event(usualData))
				var m Message
				b.ReportAllocs()
				b.SetBytes(int64(len(usualData)))
				for b.Loop() {
					if err := e.Compose(&m, d, fixedNow); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

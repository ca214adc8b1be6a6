package admin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"eventrelay/catalog"
)

// page is the wire form of every list.
type page[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"nextCursor"`
}

// newPage makes the answer of a list; next is where the store goes on, empty on the last page. Its cursor is one that
// only this list of this caller takes back.
func newPage[T any](c *call, l listing, items []T, next string) page[T] {
	p := page[T]{Items: items}
	if p.Items == nil {
		p.Items = []T{}
	}
	if next != "" {
		cursor := c.sealCursor(l, next)
		p.NextCursor = &cursor
	}
	return p
}

// sealLength is how much of the HMAC a cursor carries, in bytes: forging one takes 2^64 requests and gains a place in
// a list of one's own.
const sealLength = 8

// cursorKey is what cursors are sealed with. It follows from the bootstrap key, so that every instance takes the
// cursors of every other; where there is none nobody gets in, and any key will do.
func cursorKey(bootstrap catalog.Secret) []byte {
	secret := []byte(bootstrap.Reveal())
	if len(secret) == 0 {
		secret = []byte(rand.Text())
	}
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte("relay list cursors")) // a hash never fails
	return mac.Sum(nil)
}

// sealCursor binds a position to its list, the tenant and the filter: a position of one list means nothing in another,
// and must not become a way to look into it.
func (c *call) sealCursor(l listing, position string) string {
	return base64.RawURLEncoding.EncodeToString(append(c.cursorSeal(l, position), position...))
}

func (c *call) cursorSeal(l listing, position string) []byte {
	parts := []string{string(l), c.tenant, c.Request().URL.EscapedPath(), position}
	query := c.QueryParams()
	names := make([]string, 0, len(query))
	for name := range query {
		if name != "cursor" && name != "limit" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		parts = append(parts, name, strings.Join(query[name], "\x00"))
	}
	mac := hmac.New(sha256.New, c.cursorKey)
	writeParts(mac, parts...)
	return mac.Sum(nil)[:sealLength]
}

const notOfThisList = "is not one that this list gave: begin without one, with the filter that is meant"

// cursor gives the store's own position back.
func (c *call) cursor(l listing) (string, error) {
	text := c.QueryParam("cursor")
	if text == "" {
		return "", nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	// A decoder passes over line breaks and spare bits: one cursor has one spelling.
	if err != nil || len(decoded) <= sealLength || base64.RawURLEncoding.EncodeToString(decoded) != text {
		return "", badParameter("cursor", notOfThisList)
	}
	position := string(decoded[sealLength:])
	if !hmac.Equal(decoded[:sealLength], c.cursorSeal(l, position)) {
		return "", badParameter("cursor", notOfThisList)
	}
	return position, nil
}

// Package openapi reads an OpenAPI 3.1 document and checks parameters and JSON bodies against it, so that the
// document which clients are given is also what the server enforces: the two cannot drift apart.
//
// It is not a general OpenAPI implementation: it supports the keywords of JSON Schema that schema.go lists and refuses
// a document that uses another. It differs from the general ones in what an operator needs: every violation is found,
// not the first; each names the field; none repeats the value, which may be a secret.
//
// Everything is immutable once parsed and safe for concurrent use.
//
// Read document.go first (what a document holds), then schema.go (what a value must satisfy) and decode.go (which
// JSON is accepted at all).
package openapi

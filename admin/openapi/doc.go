// Package openapi reads an OpenAPI 3.1 document and checks parameters and JSON bodies against it, so that the
// document which clients are given is also what the server enforces: the two cannot drift apart.
//
// It is not an implementation of OpenAPI: of the document it reads what a server needs (operations, parameters, bodies,
// responses), and what a value must satisfy is decided by github.com/santhosh-tekuri/jsonschema, the validator of
// JSON Schema 2020-12 that the general OpenAPI libraries use as well. Theirs were not taken because an operator needs
// more of an answer: every violation is found, not the first; each names the field; and none repeats the value, which
// may be a secret.
//
// Everything is immutable once parsed and safe for concurrent use.
//
// Read document.go first (what a document holds), then schema.go (what a value must satisfy), violation.go (how it is
// said) and decode.go (which JSON is accepted at all).
package openapi

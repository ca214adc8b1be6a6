package catalog

import (
	"errors"
	"fmt"
	"strings"
)

// Rules are what validation needs to know besides the resource.
type Rules struct {
	Egress Egress
	// KnownIntegration reports whether the tenant has an integration of this name. Nil: not checked here.
	KnownIntegration func(name string) bool
	// AuthTypes are those that deliveries can use; another one is refused, because nothing could be sent with it.
	// Nil: all.
	AuthTypes []AuthType
}

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	// Path names the field, as in events[2] or filter.data.amount.$gte.
	Path string `json:"path"`
	// Message says what is wrong with it. It never repeats a secret.
	Message string `json:"message"`
}

// Error implements error.
func (e FieldError) Error() string { return e.Path + ": " + e.Message }

// ValidationError collects everything that is wrong with a resource.
type ValidationError struct{ Fields []FieldError }

// Error implements error.
func (e *ValidationError) Error() string {
	texts := make([]string, len(e.Fields))
	for i, field := range e.Fields {
		texts[i] = field.Error()
	}
	return strings.Join(texts, "; ")
}

// Warning says what is accepted and yet probably not meant.
type Warning struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// checker collects what is found while walking a resource.
type checker struct {
	rules    Rules
	fields   []FieldError
	warnings []Warning
}

func (c *checker) fail(path, format string, args ...any) {
	c.fields = append(c.fields, FieldError{path, fmt.Sprintf(format, args...)})
}

func (c *checker) require(ok bool, path, format string, args ...any) {
	if !ok {
		c.fail(path, format, args...)
	}
}

func (c *checker) err() error {
	if len(c.fields) == 0 {
		return nil
	}
	return &ValidationError{c.fields}
}

// url checks a URL that the relay would connect to.
func (c *checker) url(path, raw string) {
	_, err := c.rules.Egress.CheckURL(raw)
	var refused *URLError
	switch {
	case err == nil:
	case errors.As(err, &refused):
		c.fail(path, "%s", refused.Reason) // the address, if any, is in the URL they sent
	default:
		c.fail(path, "%v", err)
	}
}

func (c *checker) integration(path, name string) {
	if c.rules.KnownIntegration != nil && !c.rules.KnownIntegration(name) {
		c.fail(path, "there is no integration of this name")
	}
}

// choice checks a value against an enumeration.
func choice[T ~string](c *checker, path string, value T, allowed ...T) {
	names := make([]string, len(allowed))
	for i, a := range allowed {
		if value == a {
			return
		}
		names[i] = string(a)
	}
	c.fail(path, "%q is not one of %s", value, strings.Join(names, ", "))
}

package admin

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"eventrelay/catalog"
)

const (
	// pathPublicKey is where receivers of the receeve format find the key that verifies it.
	pathPublicKey = "/receeve/public-key"
	mediaPEM      = "application/x-pem-file"
)

// getPublicKey answers with a tenant's public key, to everybody. Like all answers under a platform's path, a refusal
// has that platform's form.
func (s *Server) getPublicKey(c *call) error {
	tenant := c.QueryParam("tenant")
	if tenant == "" {
		tenant = catalog.DefaultTenant
	}
	pem, ok := "", false
	if s.opts.PublicKey != nil {
		pem, ok = s.opts.PublicKey(tenant)
	}
	if !ok {
		return c.JSON(http.StatusNotFound, dialectError{"There is no public key yet: it is made with the tenant's first receeve webhook"})
	}
	// Receivers may keep it: a tenant's key pair does not change.
	c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=3600")
	return c.Blob(http.StatusOK, mediaPEM, []byte(pem))
}

package deliver

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/deliver/outbound/guardtest"
	"eventrelay/relay/deliver/token"
)

// integrated gives the webhooks of a bench an integration.
type integrated struct {
	*stores
	integration *catalog.Integration
}

func (i integrated) Webhook(uid string) (*catalog.Webhook, *catalog.Suspension, *catalog.Integration) {
	w, s, _ := i.stores.Webhook(uid)
	return w, s, i.integration
}

// counted counts the vectors that a path was tried with.
func counted(tried *int, path guardtest.Path) guardtest.Path {
	return func(t *testing.T, policy catalog.Egress, resolver outbound.Resolver, url string) outbound.Class {
		*tried++
		return path(t, policy, resolver, url)
	}
}

// Every path on which the relay connects to an address that a webhook's owner chose, over everything that none of them
// may reach.
func TestGuard(t *testing.T) {
	client := func(t *testing.T, policy catalog.Egress, resolver outbound.Resolver) *outbound.Client {
		c := outbound.New(outbound.Options{Policy: policy, Resolver: resolver})
		t.Cleanup(c.Close)
		return c
	}
	oauth2 := func(url string) catalog.Auth {
		return catalog.Auth{Type: catalog.AuthOAuth2, TokenURL: url, ClientID: "c", ClientSecret: catalog.NewSecret("s")}
	}
	// Names are not looked up at registration: the dial decides.
	registrations := map[string]func(w *catalog.Webhook, in *catalog.Integration, url string) (field string){
		"url": func(w *catalog.Webhook, _ *catalog.Integration, url string) string { w.URL = url; return "url" },
		"tokenUrl": func(w *catalog.Webhook, _ *catalog.Integration, url string) string {
			w.Auth = oauth2(url)
			return "auth.tokenUrl"
		},
		"url of an override": func(w *catalog.Webhook, _ *catalog.Integration, url string) string {
			w.Overrides = []catalog.Override{{Office: "north", URL: url}}
			return "overrides[0].url"
		},
		"url of an integration": func(_ *catalog.Webhook, in *catalog.Integration, url string) string { in.URL = url; return "url" },
		"tokenUrl of an integration": func(_ *catalog.Webhook, in *catalog.Integration, url string) string {
			in.Auth = oauth2(url)
			return "auth.tokenUrl"
		},
	}
	var registered, dialled int
	for name, edit := range registrations {
		t.Run("registration of "+name, func(t *testing.T) {
			register := func(_ *testing.T, policy catalog.Egress, _ outbound.Resolver, url string) outbound.Class {
				w := &catalog.Webhook{ID: "a", Tenant: catalog.DefaultTenant, Platform: catalog.PlatformV1, Enabled: true, URL: "https://example.com/"}
				in := &catalog.Integration{Name: "a", Tenant: catalog.DefaultTenant, URL: "https://example.com/"}
				w.Normalize()
				in.Normalize()
				field := edit(w, in, url)
				_, err := w.Validate(catalog.Rules{Egress: policy, AuthTypes: AuthTypes()})
				_, inErr := in.Validate(catalog.Rules{Egress: policy, AuthTypes: AuthTypes()})
				var invalid *catalog.ValidationError
				if err = errors.Join(err, inErr); errors.As(err, &invalid) {
					require.Len(t, invalid.Fields, 1)
					require.Equal(t, field, invalid.Fields[0].Path)
					return outbound.ClassBlocked
				}
				require.NoError(t, err)
				return outbound.ClassStatus
			}
			guardtest.URLs(t, counted(&registered, register))
			for _, url := range guardtest.AllowedURLs {
				require.Equal(t, outbound.ClassStatus, register(t, catalog.Egress{}, nil, url), url)
			}
		})
	}

	// deliver is an attempt of a task, the result of which its delivery keeps.
	deliver := func(uid string, options func(*Options), webhook func(*catalog.Webhook), edit func(*Task)) guardtest.Path {
		return func(t *testing.T, policy catalog.Egress, resolver outbound.Resolver, url string) outbound.Class {
			b := newBench(t, func(o *Options) {
				o.Client = client(t, policy, resolver)
				if options != nil {
					options(o)
				}
				if in, ok := o.Webhooks.(integrated); ok {
					in.integration.URL = url
				}
			})
			b.webhook(uid, url, webhook)
			task := b.submit(uid, edit)
			require.Eventually(t, func() bool { return b.done.Load() == 1 }, waitFor, tick)
			return outbound.Class(task.Delivery.LastError)
		}
	}
	paths := map[string]guardtest.Path{
		"delivery": deliver("wh_1", nil, nil, nil),
		"retry":    deliver("wh_1", nil, nil, func(task *Task) { task.Delivery.Attempts, task.Share = 1, Backlog }),
		"alert": deliver(relay.AlertUID("wh_1"), nil, nil, func(task *Task) {
			task.Delivery.Alert = &relay.Alert{Kind: relay.AlertFailure, Webhook: "wh_1", Count: 1}
		}),
		"delivery to an integration": deliver("wh_1", func(o *Options) {
			o.Webhooks = integrated{o.Webhooks.(*stores), &catalog.Integration{UID: "in_1", Name: "crm", Concurrency: 1}}
		}, func(w *catalog.Webhook) { w.URL, w.Integration = "", "crm" }, nil),
		"delivery of an office": deliver("wh_1", nil, func(w *catalog.Webhook) {
			w.Overrides = []catalog.Override{{Office: "north", URL: w.URL}}
			w.URL = "https://example.com/"
		}, func(task *Task) { task.Delivery.Event.Office = "north" }),
		"test call": func(t *testing.T, policy catalog.Egress, resolver outbound.Resolver, url string) outbound.Class {
			b := newBench(t, func(o *Options) { o.Client = client(t, policy, resolver) })
			b.webhook("wh_1", url, nil)
			exchange, err := b.d.Test(t.Context(), b.webhooks["wh_1"], nil, &catalog.Event{ID: "e", Source: "/s", Type: "debt.paid", Time: time.Now(), Raw: []byte("1"), Data: []byte("1"), Span: catalog.Span{To: 1}})
			require.NoError(t, err)
			return exchange.Class
		},
		"attempt": func(t *testing.T, policy catalog.Egress, resolver outbound.Resolver, url string) outbound.Class {
			return client(t, policy, resolver).Do(t.Context(), &outbound.Request{Endpoint: &catalog.Endpoint{URL: url, Timeout: waitFor}}).Class
		},
		"certificate check": func(t *testing.T, policy catalog.Egress, resolver outbound.Resolver, url string) outbound.Class {
			return outbound.ClassOf(client(t, policy, resolver).CheckTLS(t.Context(), url))
		},
		"token fetch": func(t *testing.T, policy catalog.Egress, resolver outbound.Resolver, url string) outbound.Class {
			e := &catalog.Endpoint{Key: "w/wh_1", Auth: oauth2(url)}
			_, err := token.New(client(t, policy, resolver), nil).Get(t.Context(), token.CredentialsOf(e))
			require.Error(t, err)
			return outbound.ClassOf(err)
		},
	}
	for name, path := range paths {
		t.Run(name, func(t *testing.T) {
			path := counted(&dialled, path)
			guardtest.URLs(t, path)
			guardtest.Names(t, path)
			if name != "certificate check" { // which sends no request
				guardtest.Redirects(t, path)
			}
		})
	}
	t.Logf("%d vectors at %d registrations, %d at %d paths that connect", registered, len(registrations), dialled, len(paths))
	require.GreaterOrEqual(t, registered, len(registrations)*len(guardtest.DeniedURLs))
	require.GreaterOrEqual(t, dialled, (2*len(paths)-1)*len(guardtest.DeniedURLs))
}

// A delivery whose token server is inside tells its owner no more than that there was no token.
func TestGuard_TellsTheOwnerNoAddress(t *testing.T) {
	b := newBench(t, nil)
	b.webhook("wh_1", "http://127.0.0.1:1/", func(w *catalog.Webhook) {
		w.Auth = catalog.Auth{Type: catalog.AuthOAuth2, TokenURL: "https://10.0.0.1/", ClientID: "c", ClientSecret: catalog.NewSecret("s")}
	})
	b.webhook("wh_2", "https://169.254.169.254/", nil)
	first, second := b.submit("wh_1", nil), b.submit("wh_2", nil)
	require.Eventually(t, func() bool { return b.done.Load() == 2 }, waitFor, tick)
	require.Equal(t, "token", first.Delivery.LastError)
	require.Equal(t, "blocked", second.Delivery.LastError)
}

package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAlertUID(t *testing.T) {
	uid, ok := AlertedUID(AlertUID("wh_1"))
	require.True(t, ok)
	require.Equal(t, "wh_1", uid)
	_, ok = AlertedUID("wh_1")
	require.False(t, ok)
}

func TestNewFailureAlert_Identity(t *testing.T) {
	d := sampleDelivery()
	d.Alert = nil
	alert := Alert{Kind: AlertFailure, Webhook: "claims", Count: 1}
	first := NewFailureAlert(d, alert, time.Now())
	d.Attempts++
	require.Equal(t, first.WebhookID, NewFailureAlert(d, alert, time.Now()).WebhookID, "given up again after a crash")
	require.NotEqual(t, first.WebhookID, d.WebhookID)
	d.Resends++
	require.NotEqual(t, first.WebhookID, NewFailureAlert(d, alert, time.Now()).WebhookID, "given up again after a resend")
	other := *d
	other.UID, other.ID = "wh_2", "dlv_2"
	require.NotEqual(t, first.WebhookID, NewFailureAlert(&other, alert, time.Now()).WebhookID)
	require.Zero(t, first.Attempts)
	require.Same(t, d.Event, first.Event)
}

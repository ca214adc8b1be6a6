package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// played runs a role with requests and gives the answers.
func played(t *testing.T, role, requests string, serve Serve) ([]answer, error) {
	t.Helper()
	var out bytes.Buffer
	err := Play(t.Context(), role, []string{"serve", "--flag"}, strings.NewReader(requests), &out, serve)
	var answers []answer
	for decoder := json.NewDecoder(&out); decoder.More(); {
		var a answer
		require.NoError(t, decoder.Decode(&a))
		answers = append(answers, a)
	}
	return answers, err
}

func TestPlay(t *testing.T) {
	answers, err := played(t, roleReceiver, `{"do":"usage"}
not JSON
{"do":"dance"}
{"do":"expect","with":"a lot"}
{"do":"expect","with":{"events":1,"width":1}}
`, nil)
	require.NoError(t, err, "it ends with its input")
	require.Len(t, answers, 5, "an answer to each request")
	var u usage
	require.NoError(t, json.Unmarshal(answers[0].Result, &u))
	require.Positive(t, u.CPU)
	require.Positive(t, u.RSS)
	require.NotEmpty(t, answers[1].Error)
	require.Contains(t, answers[2].Error, errUnknownRequest.Error())
	require.Contains(t, answers[3].Error, "argument")
	require.Empty(t, answers[4].Error)
}

func TestPlay_UnknownRole(t *testing.T) {
	_, err := played(t, "director", "", nil)
	require.ErrorContains(t, err, "there is no such role")
}

func TestPlay_TheRelayStopsWithItsInput(t *testing.T) {
	var served []string
	_, err := played(t, roleRelay, "", func(ctx context.Context, args []string) error {
		served = args
		<-ctx.Done()
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"serve", "--flag"}, served)
}

func TestPlay_ARelayThatEndedSaysSo(t *testing.T) {
	ended := errors.New("no Kafka")
	m := startMeasured(t.Context(), nil, func(context.Context, []string) error { return ended })
	<-m.done
	_, err := m.do(t.Context(), "alive", nil)
	require.ErrorIs(t, err, errServeEnded)
	require.ErrorIs(t, err, ended)
	require.ErrorIs(t, m.close(), ended)
}

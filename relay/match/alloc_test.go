package match

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// An event that nobody wants costs lookups and no garbage, whatever is registered; one that is wanted costs the list
// of lists.
func TestMatch_Allocates(t *testing.T) {
	x := NewIndex()
	for i := range 1000 {
		require.NoError(t, x.Put(webhook(fmt.Sprint(i), func(w *catalog.Webhook) { w.Events = []string{fmt.Sprintf("type.%d", i), fmt.Sprintf("other%d.*", i)} }), 1))
	}
	for wanted, allowed := range map[string]float64{"nobody.wants.it": 0, "type.77": 1} {
		ev := event(wanted, nil)
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
			c := x.Match(ev)
			for sub, err := c.Next(); sub != nil; sub, err = c.Next() {
				if err != nil {
					t.Fatal(err)
				}
			}
		}), allowed, wanted)
	}
}

package intake

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestGroup_StopsWhileTheGroupWaits: a member that is stopped while the group waits for another, which is gone, commits
// what it has finished and ends all the same.
func TestGroup_StopsWhileTheGroupWaits(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 2)
	static := func(id string) func(*GroupOptions) {
		return func(o *GroupOptions) { o.InstanceID, o.SessionTimeout = id, 30*time.Second }
	}
	publish(t, client, 0, 2)
	publish(t, client, 1, 2)
	stays := join(t, opts, static("stays"))
	require.Eventually(t, func() bool { return stays.group.Assigned() == 2 }, waitFor, tick) // else gone may read all there is
	gone := join(t, opts, static("gone"))
	require.Eventually(t, func() bool { return stays.group.Assigned() == 1 && gone.group.Assigned() == 1 }, waitFor, tick)
	var last taken
	for range 2 {
		for last = stays.next(t); stays.group.Assigned() != 1 || last.a.Context().Err() != nil; last = stays.next(t) {
		}
	}
	gone.leave(t) // a static member: the group waits for it
	join(t, opts, static("comes"))
	admin := kadm.NewClient(client)
	require.Eventually(t, func() bool {
		groups, err := admin.DescribeGroups(t.Context(), "g")
		return err == nil && groups["g"].State == "PreparingRebalance"
	}, waitFor, tick)
	// The member hears of it with its next heartbeat, 3 s later at most, and joins: nobody sees that from outside.
	heartbeat := time.NewTimer(4 * time.Second)
	defer heartbeat.Stop()
	<-heartbeat.C

	begun := time.Now()
	stays.leave(t)
	require.Less(t, time.Since(begun), 10*time.Second)
	require.EqualValues(t, 2, committed(t, client)[last.rec.Partition], "what was drained is committed")
}

// TestGroup_RevocationWaitsForTheStop: a member that is stopped while its partitions are being given up gives them up
// only when what it has in hand is finished and committed. Otherwise their next owner repeats it, and the late commit
// goes back behind that owner's.
func TestGroup_RevocationWaitsForTheStop(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 2)
	publish(t, client, 0, 1)
	publish(t, client, 1, 1)
	slow := func(o *GroupOptions) {
		o.DrainTimeout = 10 * time.Second
		o.HandOff = func(*Assignment) {} // everything is under way
	}
	stops := join(t, opts, slow)
	first, second := stops.next(t), stops.next(t)
	other := join(t, opts, slow)
	admin := kadm.NewClient(client)
	require.Eventually(t, func() bool {
		groups, err := admin.DescribeGroups(t.Context(), "g")
		return err == nil && groups["g"].State == "PreparingRebalance"
	}, waitFor, tick)
	stops.stop()                                     // before it has heard of the other
	finish := time.AfterFunc(3*time.Second, func() { // after it has
		stops.settle(first.entry)
		stops.settle(second.entry)
	})
	defer finish.Stop()
	stops.leave(t)
	require.Eventually(t, func() bool { return other.group.Assigned() == 2 }, waitFor, tick)
	publish(t, client, 0, 1)
	publish(t, client, 1, 1)
	for range 2 {
		got := other.next(t)
		require.EqualValues(t, 1, got.rec.Offset, "it repeats what the other had in hand")
		other.settle(got.entry)
	}
	require.Eventually(t, func() bool { at := committed(t, client); return at[0] == 2 && at[1] == 2 }, waitFor, tick)
}

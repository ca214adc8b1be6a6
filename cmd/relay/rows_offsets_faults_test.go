//go:build faults

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// offsetsLoad is a relay that has delivered a few events of a webhook that wants everything.
func offsetsLoad(t *testing.T, f *fleet) (*load, *relayProcess) {
	t.Helper()
	f.timeout = 5 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 1, 1)
	l.publish(0, 100)
	l.awaitDelivered(t, 100)
	return l, p
}

// record is the i-th event of a load, for one partition.
func (l *load) record(i int, partition int32) *kgo.Record {
	id := []byte(eventID(i))
	return &kgo.Record{Topic: l.f.domains[0], Partition: partition, Value: []byte(`{}`), Headers: []kgo.RecordHeader{
		{Key: "ce_id", Value: id}, {Key: "ce_source", Value: []byte("/load")}, {Key: "ce_type", Value: []byte("load.type0")}}}
}

// TestRow17_RecordsDeletedBeforeTheyWereRead: retention has passed what a relay that was away had not read. It halts that
// partition and says so; it neither jumps nor keeps the others.
func TestRow17_RecordsDeletedBeforeTheyWereRead(t *testing.T) {
	f := newFleet(t, time.Second)
	l, p := offsetsLoad(t, f)
	p.stop(t, f)
	producer, err := kgo.NewClient(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, f.kafka...)...)
	require.NoError(t, err)
	defer producer.Close()
	const lost = int32(0)
	for i := range 20 { // into the gap; nobody can deliver them
		require.NoError(t, producer.ProduceSync(t.Context(), l.record(1000+i, lost)).FirstErr())
	}
	ends, err := f.admin.ListEndOffsets(t.Context(), f.domains[0])
	require.NoError(t, err)
	end, _ := ends.Lookup(f.domains[0], lost)
	cut := kadm.Offsets{}
	cut.Add(kadm.Offset{Topic: f.domains[0], Partition: lost, At: end.Offset - 5})
	deleted, err := f.admin.DeleteRecords(t.Context(), cut)
	require.NoError(t, err)
	require.NoError(t, deleted.Error())

	p = f.start(t, "one")
	require.Eventually(t, func() bool { return f.logs.contains("partition_halted") }, 45*time.Second, 50*time.Millisecond, "%s", &f.logs)
	require.EqualValues(t, 1, p.metrics(t)["relay_partitions_halted"])
	for i := range 30 {
		l.o.owe(eventID(2000+i), "hook-000")
		require.NoError(t, producer.ProduceSync(t.Context(), l.record(2000+i, lost+1)).FirstErr())
	}
	l.awaitDelivered(t, 130)
	committed, err := f.admin.FetchOffsets(t.Context(), f.group)
	require.NoError(t, err)
	at, _ := committed.Lookup(f.domains[0], lost)
	require.Less(t, at.At, end.Offset-5, "the commit has jumped over what is gone")
	l.o.mu.Lock()
	defer l.o.mu.Unlock()
	require.Empty(t, l.o.faults)
}

// TestRow20_PartitionsAdded: events of partitions that a domain topic did not have are delivered from the first on.
func TestRow20_PartitionsAdded(t *testing.T) {
	const more = 3
	f := newFleet(t, time.Second)
	l, _ := offsetsLoad(t, f)
	two := f.start(t, "two")
	two.awaitReady(t, f)
	grown, err := f.admin.UpdatePartitions(t.Context(), domainPartitions+more, f.domains[0])
	require.NoError(t, err)
	require.NoError(t, grown.Error())
	producer, err := kgo.NewClient(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, f.kafka...)...)
	require.NoError(t, err)
	defer producer.Close()
	n := 0
	for partition := int32(0); partition < domainPartitions+more; partition++ {
		for range 10 {
			l.o.owe(eventID(1000+n), "hook-000")
			require.NoError(t, producer.ProduceSync(t.Context(), l.record(1000+n, partition)).FirstErr())
			n++
		}
	}
	begun := time.Now()
	l.awaitDelivered(t, 100+n)
	v := l.settle(t, 100)
	require.Zero(t, v.duplicates)
	t.Logf("%d events on %d partitions of which %d are new: delivered within %s", n, domainPartitions+more, more, time.Since(begun).Round(time.Millisecond))
}

// TestRow21_AbortedTransactions: what was aborted is not delivered, and neither it nor the markers of transactions hold
// a commit back.
func TestRow21_AbortedTransactions(t *testing.T) {
	const batches, each = 20, 10
	f := newFleet(t, time.Second)
	l, p := offsetsLoad(t, f)
	producer, err := kgo.NewClient(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("test-" + f.group)}, f.kafka...)...)
	require.NoError(t, err)
	defer producer.Close()
	plain, err := kgo.NewClient(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, f.kafka...)...)
	require.NoError(t, err)
	defer plain.Close()
	n := 0
	for batch := range batches {
		keep := kgo.TransactionEndTry(batch%2 == 0)
		require.NoError(t, producer.BeginTransaction())
		for range each {
			if keep {
				l.o.owe(eventID(1000+n), "hook-000")
			}
			producer.Produce(t.Context(), l.record(1000+n, int32(n%domainPartitions)), nil)
			n++
		}
		require.NoError(t, producer.Flush(t.Context()))
		require.NoError(t, producer.EndTransaction(t.Context(), keep))
	}
	l.awaitDelivered(t, 100+batches*each/2)
	for partition := range int32(domainPartitions) { // a commit names a record: it passes the last marker with the next one
		l.o.owe(eventID(2000+int(partition)), "hook-000")
		require.NoError(t, plain.ProduceSync(t.Context(), l.record(2000+int(partition), partition)).FirstErr())
	}
	v := l.settle(t, 100) // also: no lag is left
	require.Zero(t, v.duplicates)
	require.Zero(t, p.metrics(t)["relay_partitions_halted"])
	t.Logf("%d events, %d of them aborted", n, n/2)
}

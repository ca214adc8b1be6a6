package embedded_test

import (
	"context"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/cmd/relay/embedded"
)

func ExampleStartKafka() {
	dir, err := os.MkdirTemp("", "relay")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	kafka, err := embedded.StartKafka(ctx, embedded.KafkaOptions{
		DataDir: dir, Addr: "127.0.0.1:0", Topics: embedded.DomainTopics([]string{"debt"}, 1<<20),
	})
	if err != nil {
		panic(err)
	}
	defer kafka.Close()

	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Addr()))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	record, err := client.ProduceSync(ctx, &kgo.Record{Topic: "debt", Value: []byte(`{}`)}).First()
	fmt.Println(record.Offset, err)
	// Output: 0 <nil>
}

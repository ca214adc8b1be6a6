package envelope

// DefaultMappings are the shapes that the five platforms document for the payloads of their webhooks, and the
// relay's own standard shape last. A caller with mappings of its own puts them in front.
func DefaultMappings() []Mapping {
	return []Mapping{
		{
			// {"id", "object": "event", "type", "data", "created_at", "livemode"}
			Name: "ophelos", Required: []string{"type", "data"}, Literals: map[string]string{"object": "event"},
			Type: "type", Data: "data", ID: "id", Time: "created_at", Livemode: "livemode",
		},
		{
			// {"id", "timestamp", "data", "transactionId", "type", "username"}; the timestamp is epoch milliseconds as a string
			Name: "socotra", Required: []string{"type", "data", "timestamp", "transactionId"},
			Type: "type", Data: "data", ID: "id", Time: "timestamp", TransactionID: "transactionId", Username: "username",
		},
		{
			// {"id", "event", "created", "data"}
			Name: "donutwork", Required: []string{"event", "data", "created"},
			Type: "event", Data: "data", ID: "id", Time: "created",
		},
		{
			// {"name", "eventId", "dateTime", …}: the event's own fields stand beside these, so all of it is the data
			Name: "ocelot", Required: []string{"name", "eventId", "dateTime"},
			Type: "name", ID: "eventId", Time: "dateTime",
		},
		{
			// {"payload": {"details": {"messageType", …}, "messageId", "timestamp", "user"}, "signature", "payloadAsString"}
			Name: "receeve", Required: []string{"/payload/details/messageType", "/payload/messageId"},
			Type: "/payload/details/messageType", Data: "/payload/details", ID: "/payload/messageId", Time: "/payload/timestamp",
			UserID: "/payload/user/id", UserPoolID: "/payload/user/poolId", UserOriginator: "/payload/user/originator",
		},
		{
			// The same without the envelope around it, as it is on the platform's own bus.
			Name: "receeve-bare", Required: []string{"/details/messageType", "messageId"},
			Type: "/details/messageType", Data: "details", ID: "messageId", Time: "timestamp",
			UserID: "/user/id", UserPoolID: "/user/poolId", UserOriginator: "/user/originator",
		},
		{
			// A CloudEvent as JSON whose producer left the content-type header out.
			Name: "cloudevents-json", Required: []string{"type", "data", "source"}, Literals: map[string]string{"specversion": specVersion},
			Type: "type", Data: "data", ID: "id", Time: "time", Source: "source", Subject: "subject",
			Tenant: "tenant", Office: "office", TransactionID: "transactionid", Livemode: "livemode",
			Username: "username", UserID: "userid", UserPoolID: "userpoolid", UserOriginator: "useroriginator",
		},
		{
			// {"type", "timestamp", "data"}, and whatever attributes stand beside it
			Name: "standard", Required: []string{"type", "data"},
			Type: "type", Data: "data", ID: "id", Time: "timestamp", Source: "source", Subject: "subject",
			Tenant: "tenant", Office: "office", TransactionID: "transactionId", Username: "username", Livemode: "livemode",
		},
	}
}

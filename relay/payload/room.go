package payload

import (
	"eventrelay/catalog"
	"eventrelay/relay"
)

// roomFactor is how many times its data a format's message holds in memory of its own, scratch included. Formats that
// send the event's own memory are absent. Escaping can make more of data that is mostly quotes and control characters.
var roomFactor = map[catalog.Format]int{
	catalog.FormatStandard:    1,
	catalog.FormatCloudEvents: 2, // base64 where the data is not JSON
	catalog.FormatOphelos:     1,
	catalog.FormatSocotra:     1,
	catalog.FormatOcelot:      2,
	catalog.FormatDonutwork:   1,
	catalog.FormatReceeve:     4, // the payload, and both of its copies, of which one is escaped
	formatAlert:               2, // base64 where the data is not JSON
}

// Room is about how much memory Compose takes for the body of a delivery: known before it is taken, so that it can be
// waited for.
func (e *Encoding) Room(d *relay.Delivery) int { return roomFactor[e.format] * len(d.Event.Data) }

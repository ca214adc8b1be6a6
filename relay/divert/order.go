package divert

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Members of the ordered sets. Redis orders members of equal score by their bytes, so numbers are padded.

// lastSortable is the largest time of 13 digits, in the year 2286.
const lastSortable = 9_999_999_999_999

func sortableTime(t time.Time) string {
	return fmt.Sprintf("%013d", min(max(t.UnixMilli(), 0), lastSortable))
}

func parseSortableTime(text string) time.Time {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func sortableEpoch(epoch int64) string { return fmt.Sprintf("%019d", max(epoch, 0)) }

// pendingUID is the webhook that a member of the pending set belongs to.
func pendingUID(member string) string {
	uid, _, _ := strings.Cut(member, separator)
	return uid
}

// lastPart is what follows the last slash of a member: the delivery id.
func lastPart(member string) string { return member[strings.LastIndexByte(member, '/')+1:] }

package divert

import (
	"crypto/sha1"
	"encoding/hex"
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

// transactionHead is what the members of one transaction's events begin with: 48 bits of a digest, so that a long id
// costs no memory. Two transactions may share it; compare the entry.
func transactionHead(tenant, transaction string) string {
	sum := sha1.Sum([]byte(tenant + separator + transaction)) // the digest that Redis' scripts have; nobody's secret
	return hex.EncodeToString(sum[:])[:12]
}

// pendingUID is the webhook that a member of the pending set belongs to.
func pendingUID(member string) string {
	uid, _, _ := strings.Cut(member, separator)
	return uid
}

// lastPart is what follows the last slash of a member: the delivery id.
func lastPart(member string) string { return member[strings.LastIndexByte(member, '/')+1:] }

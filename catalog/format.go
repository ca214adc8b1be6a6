package catalog

import "slices"

// formatVersions are the versions of the formats that have any, oldest first.
var formatVersions = map[Format][]string{
	FormatOphelos: {"2025-04-01"},
}

// FormatVersions lists the versions of a format that a webhook may ask for, oldest first; none for a format without
// versions. A webhook that asks for none gets the newest.
func FormatVersions(f Format) []string { return slices.Clone(formatVersions[f]) }

// version checks a format's version, which must be one that the relay sends: a receiver reads it from a header and
// would otherwise believe it.
func (c *checker) version(path string, f Format, version string) {
	known := formatVersions[f]
	switch {
	case version == "":
	case len(known) == 0:
		c.fail(path, "format %s has no versions", f)
	default:
		choice(c, path, version, known...)
	}
}

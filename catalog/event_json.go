package catalog

// DataIsJSON reports whether Data is one JSON text that is nested no deeper than encoding/json reads.
func (e *Event) DataIsJSON() bool { return e.dataProblem() == "" }

// CheckData remembers what DataIsJSON finds, so that it is found out once for all filters and attempts that ask. It
// belongs to whoever made the event, before anybody else has it: from then on the event is immutable.
func (e *Event) CheckData() {
	if !e.checked {
		e.problem, e.checked = checkJSON(e.Data), true
	}
}

// dataProblem is checkJSON of Data.
func (e *Event) dataProblem() jsonProblem {
	if e.checked {
		return e.problem
	}
	return checkJSON(e.Data)
}

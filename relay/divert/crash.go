package divert

// crashPoint is a place between two effects at which tests let a process end.
type crashPoint string

const (
	crashLooked   crashPoint = "looked"   // entries of a batch were looked up, their records are not read
	crashResent   crashPoint = "resent"   // the delivery is in the retry topics, its marker is not written
	crashIndexing crashPoint = "indexing" // records were read and are not in the index
	crashUnsaved  crashPoint = "unsaved"  // a job's effects are durable, its progress is not
)

// reach is where a test's hook is asked whether the process ends here; an error means that it does.
func (s *Store) reach(at crashPoint) error {
	if s.crash == nil {
		return nil
	}
	return s.crash(at)
}

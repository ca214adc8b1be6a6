//go:build unix

package bench

import (
	"os/exec"
	"syscall"
)

// kill ends the process group of a started command at once.
func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

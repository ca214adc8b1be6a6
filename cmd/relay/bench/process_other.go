//go:build unix && !linux

package bench

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps a signal at the terminal from ending the process before it is asked to.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

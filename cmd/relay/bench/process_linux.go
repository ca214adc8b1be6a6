package bench

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps a signal at the terminal from ending the process before it is asked to, and has the system end it
// should this process be killed.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

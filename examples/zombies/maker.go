// The article's zombie maker in Go: Start without Wait, so each child stays a
// zombie until this program ends. Usage: maker [COUNT]
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// Returns when the child has ended. WNOWAIT leaves it the zombie that it is.
func seeEnd(pid int) {
	const pPid, wExited, wNoWait = 1, 4, 0x1000000
	for {
		_, _, errno := syscall.Syscall6(
			syscall.SYS_WAITID, pPid, uintptr(pid), 0, wExited|wNoWait, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}

func main() {
	count := 50
	if len(os.Args) > 1 {
		count, _ = strconv.Atoi(os.Args[1])
	}
	for i := 0; i < count; i++ {
		child := exec.Command("true")
		if err := child.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		seeEnd(child.Process.Pid)
	}
	fmt.Println("ready")
	for {
		time.Sleep(time.Hour)
	}
}

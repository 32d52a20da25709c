// What articles tell operators to write: every process by prometheus/procfs, its stat,
// and the zombies kept apart. Prints {"processes", "zombies", "passMs"}.
package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/prometheus/procfs"
)

func main() {
	start := time.Now()
	processes, err := procfs.AllProcs()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	seen, zombies := 0, 0
	var all, dead sync.Map // the article's choice
	for _, process := range processes {
		stat, err := process.Stat()
		if err != nil {
			continue // it has gone
		}
		seen++
		all.Store(stat.PID, stat)
		if stat.State == "Z" {
			dead.Store(stat.PID, stat)
			zombies++
		}
	}
	fmt.Printf("{\"processes\":%d,\"zombies\":%d,\"passMs\":%.3f}\n", seen, zombies,
		float64(time.Since(start).Microseconds())/1e3)
}

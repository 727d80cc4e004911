package pods

// LastSandbox is the newest sandbox, dead or not; the zero Instance if there is none.
func LastSandbox(have []Instance) (last Instance) {
	for _, i := range have {
		if i.IsSandbox() {
			last = i
		}
	}
	return last
}

// LastEnded is the newest instance of a container that ended, other than the one with the ID.
func LastEnded(have []Instance, container, id string) (last Instance, ok bool) {
	for _, i := range have {
		if i.ContainerName == container && i.ID != id && i.Ended() {
			last, ok = i, true
		}
	}
	return last, ok
}

// Surplus are the instances before the last two of each container: the last one and
// the one that `logs --previous` shows.
func Surplus(have []Instance) (out []Instance) {
	count := map[string]int{}
	for n := len(have) - 1; n >= 0; n-- {
		i := have[n]
		count[i.ContainerName]++
		if count[i.ContainerName] > 2 && !i.IsSandbox() && !i.Running() {
			out = append(out, i)
		}
	}
	return out
}

// Unstarted are containers that were created and never started.
func Unstarted(have []Instance) (out []Instance) {
	for _, i := range have {
		if !i.IsSandbox() && !i.WasStarted() {
			out = append(out, i)
		}
	}
	return out
}

// Running are those that have a process.
func Running(have []Instance) (out []Instance) {
	for _, i := range have {
		if i.Running() {
			out = append(out, i)
		}
	}
	return out
}

// RunningSandbox is the sandbox that runs; the zero Instance if none does.
func RunningSandbox(have []Instance) (sandbox Instance) {
	for _, i := range have {
		if i.IsSandbox() && i.Running() {
			sandbox = i
		}
	}
	return sandbox
}

// Split tells containers from sandboxes.
func Split(list []Instance) (containers, sandboxes []Instance) {
	for _, i := range list {
		if i.IsSandbox() {
			sandboxes = append(sandboxes, i)
		} else {
			containers = append(containers, i)
		}
	}
	return containers, sandboxes
}

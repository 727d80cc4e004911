// Package usage measures what containers and volumes take: disk space by walking a
// directory, memory by reading a cgroup of version 1 or 2. It knows paths and process IDs,
// neither Docker nor Kubernetes; it keeps nothing, caches nothing and starts nothing, so
// whoever calls it bounds how often and says what to do with the figures.
package usage

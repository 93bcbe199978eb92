// Package deploy holds what operators run tidemark with: roles of both servers, containers, a systemd unit, a dashboard,
// alerts. It is a package so that tests try the very files.
package deploy

import "embed"

// Files are those of this folder.
//
//go:embed *.sql *.yaml *.service Dockerfile prometheus grafana compose/*
var Files embed.FS

// Read returns the text of a file. A name that is not there is a fault of the caller.
func Read(name string) string {
	text, err := Files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return string(text)
}

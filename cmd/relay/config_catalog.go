package main

import (
	"fmt"
	"os"

	"eventrelay/catalog"
)

// catalogConfig names the event types that are known besides those that are built in.
type catalogConfig struct {
	EventTypes []string `name:"event-types" env:"RELAY_EVENT_TYPES" yaml:"eventTypes" placeholder:"FILE" help:"YAML files with further event types and domains, each in the form of those in catalog/types." group:"Topics"`
}

func (c catalogConfig) check(p *problems) {
	if _, err := c.types(); err != nil {
		p.add("event-types", "is refused: %v", err)
	}
}

// use makes the files part of the catalog of this process.
func (c catalogConfig) use() error {
	types, err := c.types()
	if err != nil {
		return fmt.Errorf("--event-types: %w", err)
	}
	types.Use()
	return nil
}

func (c catalogConfig) types() (*catalog.Types, error) {
	files := make([]catalog.TypeFile, len(c.EventTypes))
	for i, name := range c.EventTypes {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files[i] = catalog.TypeFile{Name: name, Text: text}
	}
	return catalog.ParseTypes(files...)
}

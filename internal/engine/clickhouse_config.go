package engine

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// configure writes the configuration of the next start and returns its path. What the caller adds goes into config.d
// beside it, which ClickHouse merges over it in the order of the names.
func (c *ClickHouse) configure() (string, error) {
	config := filepath.Join(c.dir, "config.xml")
	overlays := filepath.Join(c.dir, "config.d")
	if err := os.RemoveAll(overlays); err != nil {
		return "", err
	}
	if err := os.Mkdir(overlays, 0o755); err != nil {
		return "", err
	}
	if file := c.options.ConfigFile; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(overlays, "1.xml"), text, 0o600); err != nil {
			return "", err
		}
	}
	if err := writeSettings(filepath.Join(overlays, "2.xml"), c.options.Settings); err != nil {
		return "", err
	}
	return config, writeSettings(config, c.configuration())
}

func (c *ClickHouse) configuration() map[string]string {
	data := c.data() + "/"
	return map[string]string{
		"logger/level":    "information",
		"logger/log":      c.log,
		"logger/size":     "100M",
		"logger/count":    "2",
		"path":            data,
		"tmp_path":        data + "tmp/",
		"user_files_path": data + "user_files/",
		"listen_host":     "127.0.0.1",
		"tcp_port":        strconv.Itoa(c.inner),
		"http_port":       strconv.Itoa(c.innerHTTP),
		// It shares the machine with the bridge, PostgreSQL and the load.
		"max_server_memory_usage_to_ram_ratio": "0.5",
		// The server's default; clickhouse-local forgets outdated parts at once.
		"merge_tree/old_parts_lifetime": "480",
	}
}

func writeSettings(path string, settings map[string]string) error {
	var text bytes.Buffer
	encoder := xml.NewEncoder(&text)
	if err := encodeSettings(encoder, "clickhouse", settings); err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	if err := encoder.Flush(); err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

// encodeSettings writes an element of that name with an element for each setting; a/b is b within a.
func encodeSettings(encoder *xml.Encoder, name string, settings map[string]string) error {
	start := xml.StartElement{Name: xml.Name{Local: name}}
	if err := encoder.EncodeToken(start); err != nil {
		return err
	}
	inner := map[string]map[string]string{}
	for _, path := range slices.Sorted(maps.Keys(settings)) {
		outer, rest, nested := strings.Cut(path, "/")
		if nested {
			if inner[outer] == nil {
				inner[outer] = map[string]string{}
			}
			inner[outer][rest] = settings[path]
			continue
		}
		if err := encoder.EncodeElement(settings[path], xml.StartElement{Name: xml.Name{Local: path}}); err != nil {
			return err
		}
	}
	for _, outer := range slices.Sorted(maps.Keys(inner)) {
		if err := encodeSettings(encoder, outer, inner[outer]); err != nil {
			return err
		}
	}
	return encoder.EncodeToken(start.End())
}

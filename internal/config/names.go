package config

import (
	"errors"
	"strings"
)

// TableName is the name of a PostgreSQL table, exactly as PostgreSQL stores it.
type TableName struct {
	Schema string
	Name   string
}

// String writes the name as the configuration does: schema.table, a part in double quotes where it needs them. It is
// for people; SQL quotes both parts always.
func (n TableName) String() string { return quotePart(n.Schema) + "." + quotePart(n.Name) }

// ParseTableName reads schema.table.
func ParseTableName(text string) (TableName, error) {
	parts, err := splitName(text)
	if err != nil {
		return TableName{}, err
	}
	if len(parts) != 2 {
		return TableName{}, errors.New(`is not schema.table`)
	}
	for _, part := range parts {
		if err := checkIdentifier(part); err != nil {
			return TableName{}, err
		}
	}
	return TableName{Schema: parts[0], Name: parts[1]}, nil
}

// maxIdentifier is PostgreSQL's NAMEDATALEN less the closing zero byte.
const maxIdentifier = 63

func checkIdentifier(name string) error {
	switch {
	case name == "":
		return errors.New("has an empty name")
	case len(name) > maxIdentifier:
		return errors.New("has a name of more than 63 bytes, which PostgreSQL does not store")
	case strings.ContainsRune(name, 0):
		return errors.New("has a zero byte in a name")
	}
	return nil
}

// quotePart writes one part of a path or name so that splitName gives it back.
func quotePart(part string) string {
	if part != "" && !strings.ContainsAny(part, `."`) {
		return part
	}
	return `"` + strings.ReplaceAll(part, `"`, `""`) + `"`
}

// splitName splits at the dots outside double quotes and takes the quotes off.
func splitName(text string) ([]string, error) {
	var parts []string
	for {
		part, rest, more, err := nextPart(text)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		if !more {
			return parts, nil
		}
		text = rest
	}
}

func nextPart(text string) (part, rest string, more bool, err error) {
	if !strings.HasPrefix(text, `"`) {
		part, rest, more = strings.Cut(text, ".")
		if strings.Contains(part, `"`) {
			return "", "", false, errors.New("has a double quote inside a part that is not quoted")
		}
		return part, rest, more, nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '"':
			b.WriteByte(text[i])
		case strings.HasPrefix(text[i:], `""`):
			b.WriteByte('"')
			i++
		case i+1 == len(text):
			return b.String(), "", false, nil
		case text[i+1] == '.':
			return b.String(), text[i+2:], true, nil
		default:
			return "", "", false, errors.New("has text after a closing double quote")
		}
	}
	return "", "", false, errors.New("has a double quote that is not closed")
}

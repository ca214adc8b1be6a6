package admin

import (
	"encoding/json"

	"eventrelay/admin/openapi"
)

// mergePatch applies a JSON Merge Patch (RFC 7396) to an object. What the patch does not touch keeps its bytes.
func mergePatch(target, patch members) (members, error) {
	merged := make(members, len(target)+len(patch))
	for name, value := range target {
		merged[name] = value
	}
	for name, value := range patch {
		if string(value) == "null" {
			delete(merged, name)
			continue
		}
		text, err := mergeMember(merged[name], value)
		if err != nil {
			return nil, err
		}
		merged[name] = text
	}
	return merged, nil
}

func mergeMember(target, patch json.RawMessage) (json.RawMessage, error) {
	p, err := openapi.Decode(patch)
	if err != nil {
		return nil, err
	}
	if _, object := p.(map[string]any); !object {
		return patch, nil
	}
	var t any
	if target != nil {
		if t, err = openapi.Decode(target); err != nil {
			return nil, err
		}
	}
	return encodeJSON(mergeValue(t, p))
}

// mergeValue is the algorithm of RFC 7396, section 2. Numbers keep their text.
func mergeValue(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged := map[string]any{}
	if t, ok := target.(map[string]any); ok {
		for name, value := range t {
			merged[name] = value
		}
	}
	for name, value := range p {
		if value == nil {
			delete(merged, name)
		} else {
			merged[name] = mergeValue(merged[name], value)
		}
	}
	return merged
}

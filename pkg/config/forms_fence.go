package config

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vipd/vipd/pkg/fence"
)

// checkAgent is for what works a fence device.
func checkAgent(s string) error {
	if path.IsAbs(s) {
		return checkPath(s)
	}
	if strings.Contains(s, "/") {
		return errors.New("is neither an absolute path nor a bare name")
	}
	return checkName(s)
}

// optionName is what agents call their options: longer names with _ or -.
var optionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// agentOptions are the options of a fence agent; the value is a []fence.Option,
// sorted by name.
type agentOptions struct{}

func (agentOptions) allowed() string {
	return "a table of names and strings, whole numbers, true or false"
}

func (k agentOptions) parse(r *reporter, n *node) (any, bool) {
	if !n.isTable() {
		r.mismatch(n, "a table", fmt.Sprintf("write it as `%s = { ip = \"10.0.8.3\", username = \"vipd\" }`", n.name))
		return nil, false
	}
	var list []fence.Option
	good := true
	for _, child := range n.children() {
		value, hint, err := agentOption(child)
		if err != nil {
			r.wrong(child, err.Error(), hint)
			good = false
			continue
		}
		list = append(list, fence.Option{Name: child.name, Value: value})
	}
	slices.SortFunc(list, func(a, b fence.Option) int { return strings.Compare(a.Name, b.Name) })
	return list, good
}

// agentOption is the value of an option as its agent reads it.
func agentOption(n *node) (value, hint string, err error) {
	if err := checkOptionName(n.name); err != nil {
		return "", "", err
	}
	switch {
	case strings.Contains(n.name, "passw") && !strings.HasSuffix(n.name, "_script"):
		hint = fmt.Sprintf("name the file that holds it: `secret_files = { %s = \"NAME\" }`", n.name)
		if n.name == "password" || n.name == "passwd" {
			hint = "name the file that holds it: `password_file`"
		}
		return "", hint, errors.New("a secret does not belong in this file")
	case n.name == "method" && n.value == "cycle":
		return "", `use method = "onoff"`, errors.New("a power cycle is over before anybody has seen the power off, and proves nothing")
	}
	switch v := n.value.(type) {
	case string:
		if err := plain(v); err != nil && v != "" {
			return "", "", fmt.Errorf("%s %w", n.raw(), err)
		}
		return v, "", nil
	case int64:
		return strconv.FormatInt(v, 10), "", nil
	case bool:
		if v {
			return "1", "", nil
		}
		return "0", "", nil
	}
	return "", "", fmt.Errorf("this is %s, must be a string, a whole number, true or false", n.typeName())
}

// checkOptionName refuses what is no option of an agent, and those that are
// vipd's to set.
func checkOptionName(name string) error {
	switch {
	case !optionName.MatchString(name):
		return errors.New("an option has a name of letters, digits, _ and -")
	case slices.Contains([]string{"action", "option", "nodename", "delay"}, name):
		return errors.New("vipd decides about this itself")
	}
	return nil
}

// secretFiles are options of a fence agent whose values are in files; the value
// is a map[string]string, of options and names of files.
type secretFiles struct{}

func (secretFiles) allowed() string {
	return "a table of options, and for each an absolute path, or the name of a credential"
}

func (k secretFiles) parse(r *reporter, n *node) (any, bool) {
	if !n.isTable() {
		r.mismatch(n, "a table", fmt.Sprintf("write it as `%s = { snmp_priv_passwd = \"pdu-key\" }`", n.name))
		return nil, false
	}
	files, good := map[string]string{}, true
	for _, child := range n.children() {
		if err := checkOptionName(child.name); err != nil {
			r.wrong(child, err.Error(), "")
			good = false
			continue
		}
		v, ok := secretText.parse(r, child)
		if !ok {
			good = false
			continue
		}
		files[child.name], _ = v.(string)
	}
	return files, good
}

package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// foreign answers words of keepalived that are no key of ours under any name.
var foreign = map[string]string{
	"state":                   "vipd needs none: every host starts as Backup, and the priority decides",
	"nopreempt":               "write `preempt = false`",
	"dynamic_interfaces":      "vipd always waits for interfaces that do not exist yet",
	"enable_script_security":  "vipd always runs checks as `script_user`",
	"script_security":         "vipd always runs checks as `script_user`",
	"vrrp_check_unicast_src":  "vipd always takes unicast adverts from `unicast_peers` only",
	"vrrp_strict":             "vipd always keeps to the RFC in what it sends",
	"strict_mode":             "vipd always keeps to the RFC in what it sends",
	"garp_lower_prio_repeat":  "vipd repeats the `garp` bursts after every contest that was won",
	"garp_lower_prio_delay":   "vipd repeats the `garp` bursts after every contest that was won",
	"virtual_server":          "vipd does no load balancing",
	"virtual_server_group":    "vipd does no load balancing",
	"real_server":             "vipd does no load balancing",
	"notification_email":      "vipd sends no mail",
	"notification_email_from": "vipd sends no mail",
	"smtp_server":             "vipd sends no mail",
	"smtp_alert":              "vipd sends no mail",
	"net_namespace":           "start vipd in the namespace",
	"defaults":                "vipd calls this [vip_defaults]",
}

// instance is what foreign words for defaults of all VIPs begin with.
const instance = "vrrp_"

// unknownHint says what to write instead of an unknown key, and which key of the
// same table is meant, if one is; pattern is that of the table.
func unknownHint(n *node, pattern string) (meant, hint string) {
	switch pattern {
	case "vip_defaults":
		pattern = "vip.*"
	case "bgp.group.*":
		pattern = "bgp.neighbor.*"
	}
	word := strings.ReplaceAll(strings.ToLower(n.name), "-", "_")
	siblings := keysIn(pattern)
	if slices.Contains(siblings, word) {
		return word, fmt.Sprintf("vipd writes it `%s`", word)
	}
	for _, w := range []string{word, strings.TrimPrefix(word, instance)} {
		if meant, hint = wordHint(w, pattern); hint != "" {
			return meant, hint
		}
	}
	if near := nearest(word, siblings); near != "" {
		return near, fmt.Sprintf("did you mean `%s`?", near)
	}
	if near := nearest(word, foreignWords(pattern)); near != "" {
		return wordHint(near, pattern)
	}
	if len(siblings) > 0 && len(siblings) <= 16 {
		return "", "known here: " + join(siblings, "and")
	}
	return "", ""
}

// wordHint answers words of others, and our own in a wrong table.
func wordHint(word, pattern string) (meant, hint string) {
	var elsewhere []string
	for _, row := range keyRows {
		parent, name := split(row.path)
		same := name == word
		if !same && !slices.Contains(row.also, word) {
			continue
		}
		if inside, ok := strings.CutPrefix(parent, pattern+"."); ok && pattern != "" && !strings.Contains(inside, "*") {
			return "", fmt.Sprintf("vipd calls this `%s.%s`", inside, name)
		}
		if parent == pattern {
			return name, fmt.Sprintf("vipd calls this `%s`", name)
		}
		where := fmt.Sprintf("`%s` belongs in %s", name, header(parent))
		if !same {
			where = fmt.Sprintf("vipd calls this `%s`, in %s", name, header(parent))
		}
		elsewhere = append(elsewhere, where)
	}
	if hint := foreign[word]; hint != "" {
		return "", hint
	}
	for _, row := range tables {
		if slices.Contains(row.also, word) {
			return "", "vipd calls this " + header(row.path)
		}
	}
	if len(elsewhere) > 0 {
		return "", elsewhere[0]
	}
	return "", ""
}

// keysIn lists the names that a table may hold, in the order of keyRows.
func keysIn(pattern string) []string {
	var names []string
	for _, row := range keyRows {
		rest := row.path
		if pattern != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(row.path, pattern+"."); !ok {
				continue
			}
		}
		name, _, _ := strings.Cut(rest, ".")
		name = strings.TrimSuffix(name, "[]")
		if name != "*" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if pattern == "" {
		names = append(names, "vip_defaults")
	}
	return names
}

// foreignWords lists what others call the keys of a table.
func foreignWords(pattern string) []string {
	var names []string
	for _, row := range keyRows {
		if parent, _ := split(row.path); parent == pattern {
			names = append(names, row.also...)
		}
	}
	if pattern == "" {
		for _, row := range tables {
			names = append(names, row.also...)
		}
	}
	return names
}

// split takes the last part off a path.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

// header writes the pattern of a table as one would in a file: [vip.NAME].
func header(pattern string) string {
	if pattern == "" {
		return "the top of the file"
	}
	pattern = strings.TrimSuffix(pattern, "[]")
	return "[" + strings.ReplaceAll(pattern, "*", "NAME") + "]"
}

// tableHint says how to write a table.
func tableHint(path string) string {
	if inner, ok := strings.CutSuffix(path, "[]"); ok {
		_, name := split(inner)
		return fmt.Sprintf("write `%s = [{ %s = … }]`", name, strings.Join(keysIn(path), " = …, "))
	}
	if tableOf()[path+".*"] != nil {
		path += ".*"
	}
	return "write " + header(path)
}

// nearest returns the word that is closest to a mistyped one, "" when none is
// close enough.
func nearest(word string, known []string) string {
	best, limit := "", 1+min(2, len(word)/4)
	for _, k := range known {
		if d := distance(word, k); d < limit {
			best, limit = k, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b out of a. Words that differ much in length are just far.
func distance(a, b string) int {
	if len(a) > len(b)+3 || len(b) > len(a)+3 {
		return len(a) + len(b)
	}
	previous, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], previous[j-1]+1)
			}
		}
		previous, row = row, next
	}
	return row[len(b)]
}

// Lines of files that are not TOML.
var (
	bareDuration = regexp.MustCompile(`=\s*(\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))\b`)
	bareAddress  = regexp.MustCompile(`[=\[,]\s*(\d+\.\d+\.\d+\.\d+(?:/\d+)?|[0-9a-fA-F]*:[0-9a-fA-F:]+(?:/\d+)?)`)
	bareWord     = regexp.MustCompile(`=\s*([A-Za-z][\w./-]*)`)
	keepalived   = regexp.MustCompile(`^\s*(?:!|[\w]+(?:\s+[\w.-]+)*\s*\{\s*$|(?:vrrp_|global_defs|virtual_|include\s))`)
	yaml         = regexp.MustCompile(`^\s*(?:- )?[\w-]+:(?:\s|$)`)
	comment      = regexp.MustCompile(`^\s*(?:;|//|!)`)
)

// libraryWords turns what the library says into what an operator expects.
var libraryWords = strings.NewReplacer(
	" instead", "",
	"a top-level item to end with a newline, comment, or EOF", "the end of the line",
	"strings cannot contain newlines", "the string is not closed",
	"expected value but found", "expected a value but found",
	`'\n'`, "the end of the line",
	"unexpected EOF", "unexpected end of the file",
	"Invalid", "invalid",
)

// explainSyntax puts what the library says about a line into our words.
func explainSyntax(message, line string) (what, hint string) {
	what = libraryWords.Replace(strings.TrimSuffix(message, "."))
	switch {
	case strings.Contains(message, "out of range"):
		return what, ""
	case bareDuration.MatchString(line):
		return what, fmt.Sprintf("durations are strings: \"%s\"", bareDuration.FindStringSubmatch(line)[1])
	case bareAddress.MatchString(line):
		return what, fmt.Sprintf("addresses are strings: \"%s\"", bareAddress.FindStringSubmatch(line)[1])
	case keepalived.MatchString(line):
		return what, "this looks like keepalived.conf; vipd reads TOML, with tables such as [vip.NAME] and [check.NAME]"
	case comment.MatchString(line):
		return what, "comments start with #"
	case yaml.MatchString(line):
		return what, "this looks like YAML; vipd reads TOML: `key = value` under [tables]"
	case strings.Contains(message, "expected value but found") && bareWord.MatchString(line):
		word := bareWord.FindStringSubmatch(line)[1]
		if slices.Contains([]string{"yes", "no", "on", "off", "True", "False", "TRUE", "FALSE"}, word) {
			return what, "write true or false"
		}
		return what, fmt.Sprintf("strings need quotes: \"%s\"", word)
	}
	return what, ""
}

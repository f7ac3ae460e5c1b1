package keepalived

import (
	"bufio"
	"compress/gzip"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// manualPage is where Debian and Red Hat install keepalived.conf(5).
const manualPage = "/usr/share/man/man5/keepalived.conf.5.gz"

// TestEveryKeyword: every keyword of the installed keepalived.conf(5) has a
// verdict in the tables.
func TestEveryKeyword(t *testing.T) {
	t.Parallel()
	f, err := os.Open(manualPage)
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("VIPD_REQUIRE"), ","), "keepalived") {
			t.Fatalf("required but missing: keepalived: %v", err)
		}
		t.Skipf("missing: keepalived: %v", err)
	}
	defer func() { _ = f.Close() }()
	page, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	known := everyKeyword()
	var n int
	for word := range manualKeywords(bufio.NewScanner(page)) {
		n++
		if !known[word] {
			t.Errorf("no table names the keyword %s", word)
		}
	}
	// 2.2.7 has 320 of them. A page that is read wrongly would have few.
	if n < 300 {
		t.Errorf("found %d keywords in the manual, want 300 at least", n)
	}
}

// everyKeyword is all that the tables name.
func everyKeyword() map[string]bool {
	known := map[string]bool{}
	add := func(words ...string) {
		for _, w := range words {
			known[w] = true
		}
	}
	for _, t := range []table[struct{}]{globals, globalKeywords, definitions, instances, groups, rest} {
		for w := range t {
			add(w)
		}
	}
	for w := range scriptKeywords {
		add(w)
	}
	for w := range fileKeywords {
		add(w)
	}
	for w := range processKeywords {
		add(w)
	}
	for w := range garpGroupKeywords {
		add(w)
	}
	for w := range instanceKeywords {
		add(w)
	}
	for w := range groupKeywords {
		add(w)
	}
	for w := range addressWords {
		add(w)
	}
	for _, words := range within {
		add(words...)
	}
	add(includeWords...)
	return known
}

var (
	font       = regexp.MustCompile(`\\f[BRIP]`)
	inBold     = regexp.MustCompile(`\\fB([^\\]*)`)
	identifier = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)
	option     = regexp.MustCompile(`\[(-?[a-z][a-z_]+)\b`)
)

// notKeywords are words that the page has in bold, or in the place of a keyword,
// and that are none.
var notKeywords = []string{
	"MASTER", "or", "will", "syntax", "VI_1", "VI_2", "eth0", "eth1", "eth2", "enp2s0", "ifname", "ifname2", "blackhole",
	"from", "to", "src", "CHECKER_TYPE", "The", "the", "and", "vip", "ip_address", "offset_instance_", "For", "be",
	"username", "groupname", "port", "rules", "GLOBAL", "Global", "Static", "BFD", "LVS", "VRRPD", "CONFIGURATION",
	"ip_proto", // of ip-rule(8)
}

// manualKeywords finds the keywords in the examples of the page: what is bold
// there, and the first words of lines with an underscore.
func manualKeywords(page *bufio.Scanner) map[string]bool {
	words := map[string]bool{}
	add := func(w string) {
		if identifier.MatchString(strings.TrimPrefix(w, "-")) && !slices.Contains(notKeywords, w) {
			words[w] = true
		}
	}
	example := false
	for page.Scan() {
		l := page.Text()
		text := strings.TrimSpace(font.ReplaceAllString(l, ""))
		switch {
		case strings.HasPrefix(l, ".nf"):
			example = true
		case strings.HasPrefix(l, ".fi"), strings.HasPrefix(l, ".SH ADVANCED"):
			example = false
		}
		if strings.HasPrefix(l, ".SH ADVANCED") {
			break
		}
		if !example || strings.HasPrefix(text, "#") {
			continue
		}
		for _, m := range inBold.FindAllStringSubmatch(l, -1) {
			for _, w := range strings.FieldsFunc(m[1], func(r rune) bool { return r == ' ' || r == '|' }) {
				add(w)
			}
		}
		if first, _, _ := strings.Cut(text, " "); strings.Contains(first, "_") && !strings.HasPrefix(first, "<") {
			add(first)
		}
		if strings.HasPrefix(text, "<IPADDR>[/<MASK>]") || strings.HasPrefix(text, "[") {
			for _, m := range option.FindAllStringSubmatch(text, -1) {
				add(m[1])
			}
		}
	}
	if err := page.Err(); err != nil {
		panic(errors.Join(errors.New("read the manual"), err))
	}
	return words
}

package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vipd/vipd/internal/control"
)

// TestManual compares vipd(8) with the commands, their flags, the types of
// events and the exit codes.
func TestManual(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "man", "vipd.8"))
	if err != nil {
		t.Fatal(err)
	}
	manual := string(raw)
	root := (&app{tui: newTUI(io.Discard, io.Discard)}).root()
	root.InitDefaultHelpCmd()
	var names []string
	var visit func(cmd *cobra.Command, path string)
	visit = func(cmd *cobra.Command, path string) {
		flag := func(f *pflag.Flag) {
			if !regexp.MustCompile(`Fl Fl ` + f.Name + `( |$|\n)`).MatchString(manual) {
				t.Errorf("the manual does not name --%s of vipd %s", f.Name, path)
			}
		}
		cmd.LocalNonPersistentFlags().VisitAll(flag)
		cmd.PersistentFlags().VisitAll(flag)
		if path != "" && cmd.Runnable() && !cmd.HasSubCommands() {
			names = append(names, path)
		}
		for _, sub := range cmd.Commands() {
			visit(sub, strings.TrimSpace(path+" "+sub.Name()))
		}
	}
	visit(root, "")
	for _, name := range names {
		words := strings.Fields(name)
		entry := regexp.MustCompile(`(?m)^\.It Cm `+words[0]+`( .*)?$`).FindAllString(manual, -1)
		if !slices.ContainsFunc(entry, func(e string) bool { return len(words) == 1 || strings.Contains(e, words[1]) }) {
			t.Errorf("the manual has no entry for vipd %s", name)
		}
	}
	for _, typ := range control.RecordTypes() {
		if !regexp.MustCompile(`\.Cm .*\b` + typ + ` [,.]`).MatchString(manual) {
			t.Errorf("the manual does not name the type %s", typ)
		}
	}
	if _, codes, _ := strings.Cut(manual, ".Sh EXIT STATUS"); strings.Count(codes, "\n.It ") != exitTimeout+1 {
		t.Errorf("the manual does not list the exit codes 0 to %d", exitTimeout)
	}
}

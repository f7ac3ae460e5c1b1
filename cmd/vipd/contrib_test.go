package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// accepted reports what is wrong with a command line of vipd, its first word left out.
func accepted(words []string) error {
	root := (&app{tui: newTUI(io.Discard, io.Discard)}).root()
	root.SetOut(io.Discard)
	cmd, rest, err := root.Find(words)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err == nil && cmd.HasSubCommands() {
		err = unknownCommand(cmd, strings.Join(words, " "))
	}
	return err
}

// scalars lists the texts of a YAML document.
func scalars(n *yaml.Node) (list []string) {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	for _, c := range n.Content {
		list = append(list, scalars(c)...)
	}
	return list
}

// commands are the command lines of vipd in a script: up to what the shell makes of it.
func commands(script string) (list [][]string) {
	for _, line := range regexp.MustCompile(`(?m)(?:^|&& |; )(?:/usr/bin/)?vipd ([^|>&;#\n]*)`).FindAllStringSubmatch(script, -1) {
		list = append(list, strings.Fields(line[1]))
	}
	return list
}

// TestPipelines: the examples for continuous integration are YAML, give vipd what it
// takes, and keep the report that they have written.
func TestPipelines(t *testing.T) {
	t.Parallel()
	for name, jobs := range map[string]string{"github.yml": "jobs", "gitlab.yml": "vipd-lab"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "contrib", "ci", name))
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]yaml.Node
		if err := yaml.Unmarshal(text, &doc); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		part, there := doc[jobs]
		if !there {
			t.Fatalf("%s has no %s", name, jobs)
		}
		tried, reports := 0, 0
		for _, text := range scalars(&part) {
			for _, words := range commands(text) {
				if err := accepted(words); err != nil {
					t.Errorf("%s: vipd %s: %v", name, strings.Join(words, " "), err)
				}
				if strings.Join(words[:2], " ") == "lab test" && regexp.MustCompile(`(> |tee )report\.json$`).MatchString(text) {
					tried++
				}
			}
			if text == "report.json" {
				reports++
			}
		}
		if tried != 1 || reports != 1 {
			t.Errorf("%s tries the files %d times and keeps %d reports", name, tried, reports)
		}
	}
}

// TestContrib: whatever YAML we hand out is YAML, and the units give vipd what it takes.
func TestContrib(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir(filepath.Join("..", "..", "contrib"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch filepath.Ext(path) {
		case ".yml", ".yaml":
			seen++
			var doc any
			if err := yaml.Unmarshal(text, &doc); err != nil || doc == nil {
				t.Errorf("%s: %v", path, err)
			}
		case ".service":
			for _, line := range regexp.MustCompile(`(?m)^Exec\w+=[-+!@:]*/usr/bin/(vipd .*)$`).FindAllStringSubmatch(string(text), -1) {
				for _, words := range commands(strings.ReplaceAll(line[1], "$MAINPID", "1")) {
					seen++
					if err := accepted(words); err != nil {
						t.Errorf("%s: %s: %v", path, line[1], err)
					}
				}
			}
		}
		return nil
	})
	if err != nil || seen < 15 {
		t.Errorf("%d files and commands, %v", seen, err)
	}
}

// TestAccepted: the tests above would find a mistake.
func TestAccepted(t *testing.T) {
	t.Parallel()
	for line, good := range map[string]bool{
		"lab test --json lb1.toml lb2.toml": true, "lab test lb1.toml": false, "lab test --fast lb1.toml lb2.toml": false, "lab": false, "labs test": false,
		"check-config": true, "run --config f": true, "drill %i": true, "drill": false,
	} {
		if err := accepted(strings.Fields(line)); (err == nil) != good {
			t.Errorf("vipd %s: %v", line, err)
		}
	}
	if got := commands("set -e\nvipd lab test a b | tee c && vipd status # vipd x"); len(got) != 2 || len(got[0]) != 4 || got[1][0] != "status" {
		t.Errorf("commands %q", got)
	}
}

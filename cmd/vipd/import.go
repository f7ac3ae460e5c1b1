package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/config/disk"
	"github.com/vipd/vipd/pkg/keepalived"
)

// importCommand is vipd import-keepalived.
func (a *app) importCommand() *cobra.Command {
	i := importer{app: a}
	cmd := &cobra.Command{
		Use:     "import-keepalived FILE",
		Short:   "convert keepalived.conf, and report what became of each line",
		Example: "  vipd import-keepalived /etc/keepalived/keepalived.conf -o vipd.toml",
		Args:    one("FILE"),
		RunE:    func(_ *cobra.Command, args []string) error { return i.run(args[0]) },
	}
	cmd.Flags().StringVarP(&i.output, "output", "o", "", "write this file, and what is left over beside it")
	cmd.Flags().BoolVar(&i.force, "force", false, "write over a file that is there")
	cmd.Flags().StringVar(&i.host, "host", "", "the host in lines with @ (default this host's name)")
	return cmd
}

// importer is one run of import-keepalived.
type importer struct {
	*app
	output, host string
	force        bool
}

// importDocument is the report as JSON.
type importDocument struct {
	Schema    string               `json:"schema"`
	File      string               `json:"file"`
	Host      string               `json:"host"`
	Output    string               `json:"output,omitempty"`
	Converted int                  `json:"converted"`
	Changed   int                  `json:"changed"`
	Refused   int                  `json:"refused"`
	Lines     []keepalived.Finding `json:"lines"`
	Problems  *config.Problems     `json:"problems,omitempty"` // only if there are errors
	TOML      string               `json:"toml,omitempty"`     // without -o
	Leftover  string               `json:"leftover,omitempty"`
	Secrets   []keepalived.Secret  `json:"secrets,omitempty"` // files to be made
}

func (i *importer) run(file string) error {
	if i.host == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("ask for the name of this host: %w", err)
		}
		i.host, _, _ = strings.Cut(name, ".")
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("find %s: %w", file, err)
	}
	r, err := keepalived.Convert(os.DirFS("/"), strings.TrimPrefix(path, "/"), i.host)
	if err != nil {
		return err
	}
	if i.output != "" {
		if err := i.write(r); err != nil {
			return err
		}
	}
	_, problems := config.Load(imported{text: r.TOML, secrets: r.Secrets}, imported{}.name())
	if problems.Errors() == 0 {
		problems = nil
	}
	if err := i.report(file, r, problems); err != nil {
		return err
	}
	if r.Count(keepalived.Refused) > 0 || problems != nil {
		return errNo
	}
	return nil
}

// write writes the result, and beside it what was refused as a whole.
func (i *importer) write(r *keepalived.Result) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if !i.force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	}
	for _, f := range []struct{ name, text string }{{i.output, r.TOML}, {i.leftover(), r.Leftover}} {
		if f.text == "" {
			continue
		}
		file, err := os.OpenFile(f.name, flags, 0o640)
		if errors.Is(err, os.ErrExist) {
			return usageError{error: fmt.Errorf("%s is there already", f.name), hint: "another name, or --force"}
		}
		if err != nil {
			return err
		}
		_, err = file.WriteString(f.text)
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return nil
}

func (i *importer) leftover() string { return i.output + ".leftover" }

// report prints the result, if it is not in a file, and what became of each line.
func (i *importer) report(file string, r *keepalived.Result, problems *config.Problems) error {
	if i.json {
		doc := importDocument{
			Schema: "vipd.import-keepalived/v1", File: file, Host: i.host, Output: i.output,
			Converted: r.Count(keepalived.Converted), Changed: r.Count(keepalived.Changed), Refused: r.Count(keepalived.Refused),
			Lines: r.Findings, Problems: problems, Leftover: r.Leftover, Secrets: r.Secrets,
		}
		if i.output == "" {
			doc.TOML = r.TOML
		}
		return i.encodeJSON(doc)
	}
	if i.output == "" {
		if _, err := io.WriteString(i.out, r.TOML); err != nil {
			return err
		}
	}
	if problems != nil {
		i.talk("vipd: error: the result is not valid as it is:")
		if err := problems.Format(i.err, i.errColor); err != nil {
			return fmt.Errorf("print the problems: %w", err)
		}
	}
	if i.quiet {
		return nil
	}
	i.summary(file, r)
	return nil
}

// summary prints the report for people: what was changed, what was refused, and
// with --verbose what was converted.
func (i *importer) summary(file string, r *keepalived.Result) {
	written := "converted for host " + i.host
	if i.output != "" {
		written = "written to " + i.output + " for host " + i.host
	}
	i.talk(fmt.Sprintf("%s: %s, %s, %s %s", file, count(r.VIPs, "vip"), count(r.Groups, "sync group"), count(r.Checks, "check"), written))
	i.talk(fmt.Sprintf("%s converted, %d changed on purpose, %d refused",
		count(r.Count(keepalived.Converted), "line"), r.Count(keepalived.Changed), r.Count(keepalived.Refused)))
	if i.verbose {
		i.findings("converted", r, keepalived.Converted)
	}
	i.findings("changed on purpose", r, keepalived.Changed)
	i.findings("refused", r, keepalived.Refused)
	if r.Leftover != "" && i.output != "" {
		i.talk("\nblocks that were refused as a whole are in " + i.leftover())
	}
	if len(r.Secrets) > 0 {
		i.talk("\nbefore vipd starts, as root: a secret is in no file but its own")
		for _, s := range r.Secrets {
			i.talk("  " + s.Command)
		}
	}
	if i.output != "" {
		i.talk("\nnext: vipd check-config " + i.output)
	}
}

// findings prints those with one verdict, in two columns and with the note below.
func (i *importer) findings(title string, r *keepalived.Result, v keepalived.Verdict) {
	width := 0
	var rows []keepalived.Finding
	for _, f := range r.Findings {
		if f.Verdict == v {
			rows, width = append(rows, f), max(width, len(f.At()))
		}
	}
	if len(rows) == 0 {
		return
	}
	i.talk("\n" + title)
	for n, f := range rows {
		i.talk(fmt.Sprintf("  %-*s  %s", width, f.At(), f.Text))
		if again := n+1 < len(rows) && rows[n+1].Note == f.Note; f.Note != "" && !again {
			i.talk(fmt.Sprintf("  %-*s    %s", width, "", f.Note))
		}
	}
}

// imported is the result while it is checked: the one file that is not on the
// disk yet.
type imported struct {
	disk.Reader
	text    string
	secrets []keepalived.Secret // whose files need not be there yet
}

func (imported) name() string { return "vipd.toml" }

// Secret implements config.Reader. One that the operator is asked for is taken to
// be good.
func (c imported) Secret(name string) (string, error) {
	i := slices.IndexFunc(c.secrets, func(s keepalived.Secret) bool { return s.Name == name })
	switch {
	case i < 0:
		return c.Reader.Secret(name)
	case c.secrets[i].Key:
		return strings.Repeat("k", 32), nil
	}
	return "password", nil
}

// Open implements config.Reader.
func (c imported) Open(string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(c.text)), nil
}

package trial

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/vipd/vipd/pkg/config"
	"github.com/vipd/vipd/pkg/config/disk"
)

// File is a user's file, as one host of the trial has it.
type File struct {
	Path string
	Name string // of the host
	cfg  *config.Config
}

// reader reads files as they are. The secrets and programs of the real host need
// not be here.
type reader struct{ disk.Reader }

// Program implements config.Reader.
func (reader) Program(string) (string, error) { return "", nil }

// Secret implements config.Reader.
func (r reader) Secret(name string) (string, error) {
	if text, err := r.Reader.Secret(name); err == nil {
		return text, nil
	}
	return secret(name), nil
}

// secret is what stands for a secret: the same for one name on both hosts, which
// have one name for what they share.
func secret(name string) string {
	return fmt.Sprintf("hex:%x", sha256.Sum256([]byte(filepath.Base(name))))
}

// Read loads the file of one host. A host that it does not name has the name of the
// file. With an error among the problems there is no File.
func Read(path string) (*File, *config.Problems) {
	cfg, problems := config.Load(reader{}, path)
	if cfg == nil {
		return nil, problems
	}
	f := &File{Path: path, Name: cfg.Engine.Node, cfg: cfg}
	if f.Name == "" {
		f.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	cfg.SetNode(f.Name)
	return f, problems
}

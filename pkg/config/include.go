package config

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// loader reads the first file and all that it includes into one tree.
type loader struct {
	reporter
	fs    Reader
	files []*file
}

// load reads name and what it includes. The tree is nil, or lacks something,
// when an error was reported.
func (l *loader) load(name string) *node {
	root := l.read(name, nil)
	if root != nil {
		l.include(root, root, []string{path.Clean(name)})
	}
	return root
}

// include merges the tree of a file, and of the files that it names, into root. chain holds the names
// of the files from the first one to this.
func (l *loader) include(root, from *node, chain []string) {
	n := from.table["include"]
	delete(from.table, "include")
	if from != root {
		l.merge(root, from)
	}
	if n == nil {
		return
	}
	patterns, ok := list{text{what: "a file name or pattern"}}.parse(&l.reporter, n)
	if !ok {
		return
	}
	for i, pattern := range patterns.([]any) {
		for _, name := range l.names(n.list[i], pattern.(string), chain) {
			if slices.Contains(chain, name) {
				cycle := strings.Join(append(slices.Clone(chain), name), " -> ")
				l.atValue(n.list[i], Error, "files include each other: "+cycle, "")
				continue
			}
			if !l.mayRead(name, n.list[i], chain) {
				continue
			}
			if tree := l.read(name, n.list[i]); tree != nil {
				l.include(root, tree, append(slices.Clip(chain), name))
			}
		}
	}
}

// names returns the files that one element of include means, sorted.
func (l *loader) names(n *node, pattern string, chain []string) []string {
	if !path.IsAbs(pattern) {
		pattern = path.Join(path.Dir(chain[len(chain)-1]), pattern)
	}
	pattern = path.Clean(pattern)
	if !strings.ContainsAny(pattern, `*?[\`) {
		return []string{pattern}
	}
	names, err := l.fs.Glob(pattern)
	if err != nil {
		l.atValue(n, Error, fmt.Sprintf("include: %s: %v", n.raw(), err), "")
	}
	return slices.Sorted(slices.Values(names))
}

// mayRead says whether one more file may be read.
func (l *loader) mayRead(name string, n *node, chain []string) bool {
	for _, f := range l.files {
		if path.Clean(f.name) == name {
			l.atValue(n, Error, fmt.Sprintf("include: %s is included already", name), "name every file once")
			return false
		}
	}
	switch {
	case len(chain) >= maxDepth:
		l.atValue(n, Error, fmt.Sprintf("include: more than %d files deep", maxDepth), "")
	case len(l.files) >= maxFiles:
		l.atValue(n, Error, fmt.Sprintf("include: more than %d files", maxFiles), "")
	default:
		return true
	}
	return false
}

// merge moves the keys of the table other into the table n. Tables with a header
// of their own are joined; everything else may be set once.
func (l *loader) merge(n, other *node) {
	for _, theirs := range other.children() {
		ours := n.table[theirs.name]
		switch {
		case ours == nil:
			n.table[theirs.name] = theirs
		case ours.isTable() && theirs.isTable() && !ours.inline && !theirs.inline:
			l.merge(ours, theirs)
		default:
			l.reportTwice(theirs, ours)
		}
	}
}

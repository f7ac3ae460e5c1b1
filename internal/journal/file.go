package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vipd/vipd/pkg/engine"
)

const (
	fileName = "events.jsonl" // and events.jsonl.1, the older one
	fileMost = 10 << 20       // bytes, before it becomes the older one
	loadMost = 1 << 20        // bytes of the newest lines that a start reads: some 5000
	idMost   = 1 << 53        // what JSON can number: anything above is damage
)

// file is the history in the state directory, one event per line.
type file struct {
	path string
	most int64 // bytes
	f    *os.File
	size int64
}

func newFile(dir string) *file { return &file{path: filepath.Join(dir, fileName), most: fileMost} }

// load reads the newest lines of earlier runs.
func (f *file) load() (past, error) {
	newest, err := tail(f.path, loadMost)
	if err != nil {
		return nil, err
	}
	older, err := tail(f.path+".1", loadMost-len(newest))
	if err != nil {
		return nil, err
	}
	return append(older, newest...), nil
}

// past is lines of earlier runs, oldest first. Those that make no sense are left
// out: a host that lost power may leave some.
type past []byte

// last is the number of the newest record, 0 when there is none.
func (p past) last() uint64 {
	for len(p) > 0 {
		i := bytes.LastIndexByte(p[:len(p)-1], '\n') + 1
		if r, ok := event(p[i:]); ok {
			return r.Seq
		}
		p = p[:i]
	}
	return 0
}

// records reads all of them.
func (p past) records() []engine.Record {
	var list []engine.Record
	last := uint64(0)
	for line := range bytes.Lines(p) {
		if r, ok := event(line); ok && r.Seq > last {
			list = append(list, r)
			last = r.Seq
		}
	}
	return list
}

// event reads one line.
func event(line []byte) (engine.Record, bool) {
	var doc engine.EventDocument
	err := json.Unmarshal(line, &doc)
	return doc.Record, err == nil && doc.Schema == engine.EventSchema && doc.Seq > 0 && doc.Seq < idMost
}

// tail reads the whole lines among the last n bytes of a file. A missing file
// has none.
func tail(path string, n int) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	from := max(size-int64(n), 0)
	text := make([]byte, size-from)
	if _, err := io.ReadFull(io.NewSectionReader(f, from, size-from), text); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if from > 0 {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text[:bytes.LastIndexByte(text, '\n')+1], nil
}

// append writes records, all or none of them.
func (f *file) append(node string, records []engine.Record) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, r := range records {
		if err := enc.Encode(r.Document(node)); err != nil {
			return fmt.Errorf("write an event: %w", err)
		}
	}
	if f.f == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.size > 0 && f.size+int64(b.Len()) > f.most {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	n, err := f.f.Write(b.Bytes())
	if err == nil {
		f.size += int64(n)
		return nil
	}
	// A disk that is full takes half a line: away with it.
	err = errors.Join(err, f.f.Truncate(f.size))
	f.close()
	return err
}

// open opens the file for more lines, and cuts what the end of an earlier run
// left of its last one.
func (f *file) open() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	o, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	f.f = o
	whole, err := wholeLines(o)
	if err == nil {
		err = o.Truncate(whole)
	}
	if err != nil {
		f.close()
		return fmt.Errorf("open %s: %w", f.path, err)
	}
	f.size = whole
	return nil
}

// wholeLines is how many bytes of a file are lines that end.
func wholeLines(o *os.File) (int64, error) {
	size, err := o.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 64<<10)
	for end := size; end > 0; {
		from := max(end-int64(len(buf)), 0)
		part := buf[:end-from]
		if _, err := io.ReadFull(bufio.NewReader(io.NewSectionReader(o, from, end-from)), part); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		end = from
	}
	return 0, nil
}

// rotate makes the file the older one, and begins a new one.
func (f *file) rotate() error {
	f.close()
	if err := os.Rename(f.path, f.path+".1"); err != nil {
		return err
	}
	return f.open()
}

// close closes the file; append opens it again.
func (f *file) close() {
	if f.f != nil {
		_ = f.f.Close()
		f.f = nil
	}
}

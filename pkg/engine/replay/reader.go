package replay

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/vipd/vipd/pkg/engine"
)

// lineMost bounds a line in bytes: a configuration of 255 VIPs has 100 KiB.
const lineMost = 16 << 20

// ErrCut says that a recording ends in the middle of a line: the recorder did
// not end by itself. Everything before it can be replayed.
var ErrCut = errors.New("the recording ends in the middle of a line")

// Reader reads a recording line by line. Its errors name the line.
type Reader struct {
	Header Header
	Line   int // of the last Next, counted from 1

	in   *bufio.Reader
	last Step
}

// NewReader reads the header.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10)}
	raw, err := r.line()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the recording is empty")
		}
		return nil, r.wrap(err)
	}
	if r.Header, err = parseHeader(raw); err != nil {
		return nil, r.wrap(err)
	}
	return r, nil
}

// Next reads one step. At the end the error is io.EOF, or [ErrCut].
func (r *Reader) Next() (Step, error) {
	raw, err := r.line()
	if errors.Is(err, io.EOF) {
		return Step{}, io.EOF
	}
	if err != nil {
		return Step{}, r.wrap(err)
	}
	s, err := parseStep(raw)
	if err != nil {
		return Step{}, r.wrap(err)
	}
	if s.At < r.last.At {
		return Step{}, r.wrap(fmt.Errorf("time goes back from %s to %s", r.last.At, s.At))
	}
	if _, ok := s.Event.(engine.Configure); !ok && r.last.Event == nil {
		return Step{}, r.wrap(errors.New("a recording begins with a configuration"))
	}
	r.last = s
	return s, nil
}

// line reads up to the next line feed, which is not part of it.
func (r *Reader) line() ([]byte, error) {
	r.Line++
	var whole []byte
	for {
		part, err := r.in.ReadSlice('\n')
		whole = append(whole, part...)
		switch {
		case err == nil:
			return whole[:len(whole)-1], nil
		case errors.Is(err, io.EOF) && len(whole) > 0:
			return nil, ErrCut
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(whole) > lineMost:
			return nil, fmt.Errorf("longer than %d bytes", lineMost)
		}
	}
}

func (r *Reader) wrap(err error) error { return fmt.Errorf("line %d: %w", r.Line, err) }

package probe

import (
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// maxCAFile is how large a file of certificates may be, in bytes; the whole of
// what systems trust is a fifth of a MiB.
const maxCAFile = 4 << 20

// authorities holds the files of authorities that probes use. Reading one with
// all that a system trusts takes milliseconds, too much for every probe.
var authorities = poolCache{pools: make(map[string]cachedPool)}

// poolCache remembers pools of certificates while their files stay as they are.
type poolCache struct {
	mu    sync.Mutex
	pools map[string]cachedPool // by path
}

type cachedPool struct {
	pool    *x509.CertPool
	size    int64
	changed time.Time
}

// read returns the certificates in a file.
func (c *poolCache) read(path string) (*x509.CertPool, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %s", path, cause(err))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("read %s: not a regular file", path)
	}
	c.mu.Lock()
	p := c.pools[path]
	c.mu.Unlock()
	if p.pool != nil && p.size == info.Size() && p.changed.Equal(info.ModTime()) {
		return p.pool, nil
	}
	pem, err := readFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read %s: no certificate in it", path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pools[path] = cachedPool{pool: pool, size: info.Size(), changed: info.ModTime()}
	return pool, nil
}

// readFile reads a file of at most maxCAFile bytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %s", path, cause(err))
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxCAFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %s", path, cause(err))
	case len(b) > maxCAFile:
		return nil, fmt.Errorf("read %s: longer than %d MiB", path, maxCAFile>>20)
	}
	return b, nil
}

package control

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/vipd/vipd/pkg/engine"
)

// ServiceDocument is the answer to GET /v1/anycast/{name}, schema
// vipd.service/v1.
type ServiceDocument struct {
	Schema  string               `json:"schema"`
	Node    string               `json:"node"`
	Now     time.Time            `json:"time"`
	Service engine.ServiceStatus `json:"service"`
}

// AnycastDocument is the answer to GET /v1/anycast, schema vipd.anycast/v1.
type AnycastDocument struct {
	Schema   string                 `json:"schema"`
	Node     string                 `json:"node"`
	Now      time.Time              `json:"time"`
	Services []engine.ServiceStatus `json:"services"`
}

// BGPDocument is the answer to GET /v1/bgp/neighbors, schema vipd.bgp/v1. BGP is
// absent when nobody speaks it.
type BGPDocument struct {
	Schema string            `json:"schema"`
	Node   string            `json:"node"`
	Now    time.Time         `json:"time"`
	BGP    *engine.BGPStatus `json:"bgp,omitempty"`
}

// services answers GET /v1/anycast.
func (s *Server) services(c call) (any, error) {
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	list := doc.Services
	if list == nil {
		list = []engine.ServiceStatus{}
	}
	return AnycastDocument{Schema: schemaAnycast, Node: doc.Node.Name, Now: doc.Now, Services: list}, nil
}

// service answers GET /v1/anycast/{name}.
func (s *Server) service(c call) (any, error) {
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	v, err := findService(doc.Status, c.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return ServiceDocument{Schema: schemaService, Node: doc.Node.Name, Now: doc.Now, Service: v}, nil
}

// bgp answers GET /v1/bgp/neighbors.
func (s *Server) bgp(c call) (any, error) {
	doc, err := s.current(c.Context())
	if err != nil {
		return nil, err
	}
	return BGPDocument{Schema: schemaBGP, Node: doc.Node.Name, Now: doc.Now, BGP: doc.BGP}, nil
}

// whyService answers GET /v1/anycast/{name}/why.
func (s *Server) whyService(c call) (any, error) { return s.why(c, WhyService) }

// whyNeighbor answers GET /v1/bgp/neighbors/{name}/why.
func (s *Server) whyNeighbor(c call) (any, error) { return s.why(c, WhyNeighbor) }

// findService finds an anycast service by name, or says which there are.
func findService(s engine.Status, name string) (engine.ServiceStatus, error) {
	var names []string
	for _, v := range s.Services {
		if v.Name == name {
			return v, nil
		}
		names = append(names, v.Name)
	}
	return engine.ServiceStatus{}, unknown("anycast service", name, names)
}

// findNeighbor finds a BGP neighbor by name, or says which there are.
func findNeighbor(s engine.Status, name string) (engine.NeighborStatus, error) {
	var names []string
	if s.BGP != nil {
		for _, n := range s.BGP.Neighbors {
			if n.Name == name {
				return n, nil
			}
			names = append(names, n.Name)
		}
	}
	return engine.NeighborStatus{}, unknown("BGP neighbor", name, names)
}

// findAny finds a VIP or an anycast service: what can be drained.
func findAny(s engine.Status, name string) error {
	if _, err := findService(s, name); err == nil {
		return nil
	}
	if _, err := findVIP(s, name); err == nil || len(s.Services) == 0 {
		return err
	}
	names := vipNames(s)
	for _, v := range s.Services {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	return unknown("vip or anycast service", name, slices.Compact(names))
}

// PathService is the path of one anycast service.
func PathService(name string) string { return "/v1/anycast/" + url.PathEscape(name) }

// PathWhyService is the path of the explanation of an anycast service.
func PathWhyService(name string) string { return PathService(name) + "/why" }

// PathBGP is the path of the BGP neighbors.
func PathBGP() string { return "/v1/bgp/neighbors" }

// PathWhyNeighbor is the path of the explanation of a BGP neighbor.
func PathWhyNeighbor(name string) string { return PathBGP() + "/" + url.PathEscape(name) + "/why" }

// Service asks for one anycast service.
func (c Client) Service(ctx context.Context, name string) (ServiceDocument, error) {
	var doc ServiceDocument
	return doc, c.get(ctx, PathService(name), &doc)
}

// BGP asks for the BGP neighbors.
func (c Client) BGP(ctx context.Context) (BGPDocument, error) {
	var doc BGPDocument
	return doc, c.get(ctx, PathBGP(), &doc)
}

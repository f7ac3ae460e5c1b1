// Package docs holds the documents, and tests that they do not promise what is
// not there.
package docs

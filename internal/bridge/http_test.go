package bridge

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func call(t *testing.T, h http.Handler, from string, header http.Header) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/jobs/roll", nil)
	r.RemoteAddr, r.Header = from, header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// While one job of a kind is under way a second is refused, and after it the next is taken.
func TestOneJobOfAKind(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	h := oneAtATime(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-end
	})
	first := make(chan int)
	go func() { first <- call(t, h, "127.0.0.1:1", nil) }()
	<-begun
	if code := call(t, h, "127.0.0.1:1", nil); code != http.StatusConflict {
		t.Errorf("a second one at the same time: %d", code)
	}
	end <- struct{}{}
	if code := <-first; code != http.StatusOK {
		t.Errorf("the first one: %d", code)
	}
	go func() { first <- call(t, h, "127.0.0.1:1", nil) }()
	<-begun
	end <- struct{}{}
	if code := <-first; code != http.StatusOK {
		t.Errorf("one after it: %d", code)
	}
}

func TestAuthorized(t *testing.T) {
	done := func(http.ResponseWriter, *http.Request) {}
	for _, c := range []struct {
		name, token, from, sent string
		want                    int
	}{
		{"no token, from here", "", "127.0.0.1:40000", "", http.StatusOK},
		{"no token, from here, IPv6", "", "[::1]:40000", "", http.StatusOK},
		{"no token, from elsewhere", "", "10.0.0.9:40000", "", http.StatusUnauthorized},
		{"token", "secret", "10.0.0.9:40000", "Bearer secret", http.StatusOK},
		{"wrong token", "secret", "127.0.0.1:40000", "Bearer secre", http.StatusUnauthorized},
		{"token not sent", "secret", "127.0.0.1:40000", "", http.StatusUnauthorized},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{}
			if c.sent != "" {
				header.Set("Authorization", c.sent)
			}
			if code := call(t, authorized(c.token, done), c.from, header); code != c.want {
				t.Errorf("answered %d, want %d", code, c.want)
			}
		})
	}
}

// A browser says from which site a request comes: one of another site starts no job, even from this machine.
func TestCrossOrigin(t *testing.T) {
	h := guarded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for site, want := range map[string]int{"cross-site": http.StatusForbidden, "same-origin": http.StatusOK, "": http.StatusOK} {
		header := http.Header{}
		if site != "" {
			header.Set("Sec-Fetch-Site", site)
		}
		if code := call(t, h, "127.0.0.1:1", header); code != want {
			t.Errorf("from %q: %d, want %d", site, code, want)
		}
	}
}

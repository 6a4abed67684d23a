// The service that bench/ measures app/ against: same routes, metrics, log and limits, on net/http and client_golang.
package main

import (
	"flag"
	"log"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var (
	start      = time.Now()
	address    = flag.String("listen-address", ":8000", "where to listen")
	readyAfter = flag.Duration("ready-after", 5*time.Second, "time from the start until /health says 200")
	requests   = promauto.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests answered."}, []string{"method", "route", "status"})
	durations  = promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "Time to answer."}, []string{"method", "route"})
	inFlight   = promauto.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight", Help: "Requests that are being answered."})
	access     = log.New(os.Stdout, "access: ", log.LstdFlags|log.Lmicroseconds|log.LUTC|log.Lmsgprefix)
	metrics    = promhttp.Handler()
)

func serve(w http.ResponseWriter, r *http.Request) {
	started, route, status, id := time.Now(), r.URL.Path, http.StatusOK, r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 128 {
		id = strconv.FormatUint(rand.Uint64(), 16) + strconv.FormatUint(rand.Uint64(), 16)
	}
	w.Header().Set("X-Request-Id", id)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8") // Else net/http guesses it from the body.
	switch {
	case route == "/metrics":
		metrics.ServeHTTP(w, r) // If it fails, promhttp's own counter says so.
	case route == "/health" && time.Since(start) < *readyAfter:
		status = http.StatusInternalServerError
		http.Error(w, "500", status)
	case route == "/health":
		w.Write([]byte("200"))
	case route == "/":
		w.Write([]byte("Hello from Go!\n"))
	default:
		route, status = "unknown", http.StatusNotFound
		http.NotFound(w, r)
	}
	seconds := time.Since(started).Seconds()
	requests.WithLabelValues(r.Method, route, strconv.Itoa(status)).Inc()
	durations.WithLabelValues(r.Method, route).Observe(seconds)
	access.Printf("method=%s route=%s path=%q status=%d duration_ms=%.3f remote=%s request_id=%q", r.Method, route, r.URL.Path, status, seconds*1e3, r.RemoteAddr, id)
}

func main() {
	flag.Parse()
	rand.Seed(start.UnixNano())
	log.Fatal((&http.Server{Addr: *address, Handler: promhttp.InstrumentHandlerInFlight(inFlight, http.HandlerFunc(serve)), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}).ListenAndServe())
}

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
	requests  = promauto.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests answered."}, []string{"method", "route", "status"})
	durations = promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "Time to answer."}, []string{"method", "route"})
	inFlight  = promauto.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight", Help: "Requests being answered."})
	build     = promauto.NewGaugeVec(prometheus.GaugeOpts{Name: "app_build_info", Help: "What was built."}, []string{"version", "revision", "branch"})
	ready     = promauto.NewGauge(prometheus.GaugeOpts{Name: "app_ready", Help: "Whether the service wants traffic."})
)

type recorder struct { // The status is kept for the counter and the log.
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) { r.status = status; r.ResponseWriter.WriteHeader(status) }

func handle(route string, answer http.HandlerFunc) {
	http.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
		started, id, route, answer := time.Now(), r.Header.Get("X-Request-Id"), route, answer
		inFlight.Inc()
		defer inFlight.Dec()
		if id == "" || len(id) > 128 {
			id = strconv.FormatUint(rand.Uint64(), 16) + strconv.FormatUint(rand.Uint64(), 16)
		}
		if r.URL.Path != route { // The pattern "/" is also where unknown paths end up.
			route, answer = "unknown", http.NotFound
		}
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8") // Saves net/http the guess from the body.
		recorded := recorder{w, http.StatusOK}
		answer(&recorded, r)
		duration := time.Since(started)
		requests.WithLabelValues(r.Method, route, strconv.Itoa(recorded.status)).Inc()
		durations.WithLabelValues(r.Method, route).Observe(duration.Seconds())
		log.Printf("access: method=%q route=%q path=%q status=%d duration_ms=%.3f remote=%s request_id=%q", r.Method, route, r.URL.Path, recorded.status, duration.Seconds()*1e3, r.RemoteAddr, id)
	})
}

func main() {
	listenAddress := flag.String("listen-address", ":8000", "where to listen")
	readyAfter := flag.Duration("ready-after", 5*time.Second, "time from the start until /health says 200")
	flag.Parse()
	log.SetOutput(os.Stdout)
}

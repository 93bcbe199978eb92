package bridge

import (
	"time"

	"github.com/tidemark-db/tidemark/internal/config"
)

// alarm is a timer that follows a cron schedule.
type alarm struct {
	schedule config.Schedule
	timer    *time.Timer
	c        <-chan time.Time
}

func newAlarm(schedule config.Schedule) *alarm {
	a := &alarm{schedule: schedule}
	if !schedule.Never() {
		a.timer = time.NewTimer(time.Until(schedule.Next(time.Now())))
		a.c = a.timer.C
	}
	return a
}

// alarms are those of all schedules.
type alarms struct{ roll, resync, verify *alarm }

func newAlarms(s config.Schedules) alarms {
	return alarms{roll: newAlarm(s.Roll), resync: newAlarm(s.Resync), verify: newAlarm(s.Verify)}
}

func (a alarms) stop() {
	for _, one := range []*alarm{a.roll, a.resync, a.verify} {
		one.stop()
	}
}

// next sets the alarm for the next time of the schedule after it went off.
func (a *alarm) next() { a.timer.Reset(time.Until(a.schedule.Next(time.Now()))) }

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

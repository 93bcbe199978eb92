package bridge

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/propose"
)

// ProposeOptions say whose tables a configuration is proposed for. A connection string that is "" comes from Env.
type ProposeOptions struct {
	propose.Connection
	Env func(string) (string, bool)
}

// Propose writes a configuration for the tables of a publication. It changes nothing.
func Propose(ctx context.Context, o ProposeOptions) (string, error) {
	draft, err := o.draft()
	if err != nil {
		return "", err
	}
	conn, err := cdc.Connect(ctx, SourceConfig(draft))
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	catalog, err := cdc.ReadCatalog(ctx, conn, o.Publication)
	if err != nil {
		return "", err
	}
	if len(catalog) == 0 {
		return "", fault.New(fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE …;", quotePostgres(o.Publication)), "publication %q has no tables", o.Publication)
	}
	tables, err := propose.Tables(ctx, conn, catalog)
	if err != nil {
		return "", err
	}
	return o.fit(tables, catalog)
}

// draft fills in what was not given, and checks all of it before anything is read.
func (o *ProposeOptions) draft() (*config.Config, error) {
	some := []propose.Table{{Name: "public.any"}} // a configuration has at least one
	if _, ok := o.Env(config.EnvName("clickhouse.dsn")); o.ClickHouse == "" && !ok {
		o.ClickHouse = "clickhouse://tidemark@localhost:9000/unknown"
		cfg, err := o.parse(some)
		if err != nil {
			return nil, err
		}
		o.ClickHouse = "clickhouse://tidemark@localhost:9000/" + url.PathEscape(cfg.Source.Database)
	}
	return o.parse(some)
}

func (o *ProposeOptions) parse(tables []propose.Table) (*config.Config, error) {
	return config.Parse("proposal", []byte(propose.Render(o.Connection, tables)), o.Env, nil)
}

// fit leaves out the tables that a bridge would refuse, with its reason, and renders the others.
func (o *ProposeOptions) fit(tables []propose.Table, catalog []cdc.Table) (string, error) {
	fits := func(t propose.Table) bool { return t.LeftOut == "" }
	if slices.ContainsFunc(tables, fits) {
		cfg, err := o.parse(tables)
		if err != nil {
			return "", err
		}
		for i, misfits := 0, misfits(cfg, catalog); i < len(tables); i++ {
			if why, ok := misfits[tables[i].Name]; ok {
				tables[i].LeftOut = why
			}
		}
	}
	if !slices.ContainsFunc(tables, fits) {
		return "", fault.New("see why each is left out: "+reasons(tables), "no table of publication %q can be in a configuration", o.Publication)
	}
	return propose.Render(o.Connection, tables), nil
}

// misfits returns why tables of a configuration cannot be, by their names.
func misfits(cfg *config.Config, catalog []cdc.Table) map[string]string {
	out := map[string]string{}
	views := map[string]string{}
	for i := range cfg.Tables {
		name := cfg.Tables[i].Name.String()
		p, errs := planTable(cfg, &cfg.Tables[i], catalog)
		if len(errs) > 0 {
			out[name] = errs[0].Error() + "; " + fault.Try(errs[0])
			continue
		}
		if other, taken := views[p.sql.Name]; taken {
			out[name] = fmt.Sprintf("it would be the view %q, as %s is", p.sql.Name, other)
			continue
		}
		views[p.sql.Name] = name
	}
	return out
}

func reasons(tables []propose.Table) string {
	var out []string
	for _, t := range tables {
		out = append(out, t.Name+": "+t.LeftOut)
	}
	return strings.Join(out, "; ")
}

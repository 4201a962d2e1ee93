#include "engine/branch_cast.h"

#include <algorithm>
#include <utility>

#include "store/flows.h"

namespace tertulia::engine {
namespace {

namespace json = base::json;

class Casting final {
 public:
  Casting(const SessionData& parent, const BranchWish& wish, std::vector<model::Role> library,
          const std::vector<model::SessionRole>& roles)
      : parent_(parent), wish_(wish), library_(std::move(library)) {
    cast_.cast = parent.cast;
    cast_.roles = roles;
    cast_.models = parent.snapshot.models;
  }

  base::Result<BranchCast> run() {
    if (wish_.version)
      if (auto done = take_version(); !done) return done.error();
    if (wish_.model)
      if (auto done = take_model(); !done) return done.error();
    return std::move(cast_);
  }

 private:
  // The stored role that plays a reference; null where none does.
  [[nodiscard]] const model::Role* stored(const std::string& ref) const {
    for (const auto& bound : cast_.roles)
      for (const auto& role : library_)
        if (bound.role_ref == ref && bound.role_id == role.id) return &role;
    return nullptr;
  }

  [[nodiscard]] const flow::Program& program() const {
    return wish_.version ? *wish_.version->program : parent_.program();
  }

  base::Result<void> take_version() {
    flow::Program program = *wish_.version->program;
    // What the variables stand at is the state's business.
    for (auto& variable : program.variables)
      if (!variable.initial) variable.initial = json::value(nullptr);
    CastingCall call;
    call.program = &program;
    call.version = wish_.version->row;
    call.profile = default_profile();
    for (const auto& role : program.roles)
      if (const auto* player = stored(role.ref); player != nullptr && player->name != role.use)
        call.roles.emplace(role.ref, player->name);
    const auto profiles = [&](const std::string& name) { return profile(name); };
    auto fresh = engine::cast(call, profiles, wish_.version->roles);
    if (!fresh) return fresh.error();
    auto cast = flow::Cast::from_text(fresh->roles_snapshot);
    if (!cast) return cast.error();
    auto snapshot = FlowSnapshot::from_text(fresh->flow_snapshot);
    if (!snapshot) return snapshot.error();
    for (flow::CastRole& role : cast->roles) keep_of_parent(role);
    for (const flow::CastRole& role : parent_.cast.roles)
      if (cast->find(role.ref) == nullptr) cast->roles.push_back(role);
    cast_.cast = *std::move(cast);
    for (const auto& [name, model] : snapshot->models) cast_.models.emplace(name, model);
    Id next = 0;
    for (const auto& role : fresh->roles)
      if (std::none_of(cast_.roles.begin(), cast_.roles.end(),
                       [&](const auto& each) { return each.role_ref == role.ref; }))
        cast_.roles.push_back({.id = --next,
                               .session_id = 0,
                               .role_ref = role.ref,
                               .role_id = role.role_id,
                               .created_at = {}});
    return {};
  }

  void keep_of_parent(flow::CastRole& role) const {
    const flow::CastRole* before = parent_.cast.find(role.ref);
    const flow::RoleDeclaration *then = parent_.program().role(role.ref),
                                *now = wish_.version->program->role(role.ref);
    if (before == nullptr || then == nullptr || now == nullptr || then->use != now->use ||
        then->as != now->as)
      return;
    if (then->name == now->name) role.name = before->name;
    if (then->prompt == now->prompt) role.prompt = before->prompt;
    if (then->model != now->model || then->parameters != now->parameters) return;
    role.profile = before->profile;
    role.model = before->model;
    role.context_window = before->context_window;
  }

  // Of roles that name none: what the parent's are played by.
  [[nodiscard]] std::string default_profile() const {
    if (wish_.model) return wish_.model->name;
    for (const flow::CastRole& role : parent_.cast.roles) {
      const flow::RoleDeclaration* declared = parent_.program().role(role.ref);
      if (declared != nullptr && declared->model.empty() && stored(role.ref) == nullptr)
        return role.profile;
    }
    return wish_.version->profile;
  }

  // As it is configured; of one that is not any more, what the parent has of it.
  [[nodiscard]] base::Result<llm::ModelProfile> profile(const std::string& name) const {
    if (wish_.model && wish_.model->name == name) return *wish_.model;
    auto found = wish_.version->profiles(name);
    if (found) return found;
    for (const flow::CastRole& role : parent_.cast.roles)
      if (role.profile == name) return llm::ModelProfile::from_json(role.model);
    if (const auto known = parent_.snapshot.models.find(name);
        known != parent_.snapshot.models.end())
      return llm::ModelProfile::from_json(known->second);
    return found;
  }

  base::Result<void> take_model() {
    for (flow::CastRole& role : cast_.cast.roles) {
      const flow::RoleDeclaration* declared = program().role(role.ref);
      if (declared == nullptr) continue;
      const model::Role* player = stored(role.ref);
      std::optional<std::string> settings;
      if (player != nullptr) settings = player->settings;
      if (auto done = recast(role, *declared, settings, *wish_.model); !done) return done;
    }
    return {};
  }

  const SessionData& parent_;
  const BranchWish& wish_;
  const std::vector<model::Role> library_;
  BranchCast cast_;
};

}  // namespace

base::Result<BranchCast> cast_of_branch(db::Connection& connection, const BranchPoint& point,
                                        const BranchWish& wish) {
  std::vector<model::Role> library;
  if (wish.model || wish.version) {
    auto roles = store::list_roles(connection);
    if (!roles) return roles.error();
    library = *std::move(roles);
  }
  return Casting(point.session(), wish, std::move(library), point.whole().roles).run();
}

flow::Limits limits_of_branch(const BranchPoint& point, const BranchWish& wish) {
  const flow::Limits& own = point.state().limits;
  if (!wish.version) return own;
  const bool is_flows = base::equal(own.to_json(), point.session().program().limits.to_json());
  return is_flows ? wish.version->program->limits : own;
}

}  // namespace tertulia::engine
